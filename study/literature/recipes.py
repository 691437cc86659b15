"""How well-known sequence-to-sequence models were trained, as spaces to search around."""

from collections.abc import Mapping
from types import MappingProxyType

from gradstudy.study.literature.preset import AT_ONE, CLIPPING_HELPS, Preset, sizes

_SIZES = sizes(hidden_size=16, batch_size=32, steps=200, trials=210)

RECIPES: Mapping[str, Preset] = MappingProxyType(
    {
        "sutskever": Preset(
            description="LSTM, SGD from 0.7 up, halved five times, clipped at a norm of 5 of summed losses: 0.7 here",
            source="Sutskever, Vinyals and Le 2014, arXiv 1409.3215, section 3.4",
            spec={
                "task": "cmudict",
                "schedule": "halving",
                **_SIZES,
                "space": {
                    "cells": ["lstm"],
                    "strategies": ["none", "norm"],
                    "learning_rate": [0.7, 70.0],
                    # A word of cmudict has seven phonemes with its end, over which our loss is averaged.
                    "thresholds": {"norm": [0.69, 0.71]},
                },
            },
            expectations=(CLIPPING_HELPS,),
        ),
        "bahdanau": Preset(
            description="GRU with attention, Adadelta from 1 up, clipped at a norm of 1",
            source="Bahdanau, Cho and Bengio 2014, arXiv 1409.0473, appendix B; their attention is additive",
            spec={
                "task": "cmudict",
                "optimizer": "adadelta",
                **_SIZES,
                "model": {"hidden_size": 16, "attention": True},
                "space": {
                    "cells": ["gru"],
                    "strategies": ["none", "norm"],
                    "learning_rate": [1.0, 1000.0],
                    "thresholds": {"norm": AT_ONE},
                },
            },
            expectations=(CLIPPING_HELPS,),
        ),
        "fairseq": Preset(
            description="Nesterov's momentum of 0.99 around a rate of 0.25, clipped at a norm of 0.1",
            source="Gehring et al. 2017, arXiv 1705.03122, section 4.2, there convolutional",
            spec={
                "task": "cmudict",
                "optimizer": "nesterov",
                "momentum": 0.99,
                **_SIZES,
                "space": {
                    "strategies": ["none", "norm"],
                    "learning_rate": [0.025, 2.5],
                    "thresholds": {"norm": [0.099, 0.101]},
                },
            },
            expectations=(CLIPPING_HELPS,),
        ),
    }
)
"""Every preset of this kind by name."""
