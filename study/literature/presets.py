"""The literature's experiments as studies: what each searches, and what is expected of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import pandas as pd

from gradstudy.study.errors import SpecError
from gradstudy.study.literature.expectations import Expectation, Group

AT_ONE = (0.99, 1.01)
"""As good as 1: a range has two ends."""


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A named study.

    Attributes:
        description: one line.
        source: where the experiment is from.
        spec: the values that its spec is made of, but for the name.
        expectations: what its trials are to show.
    """

    description: str
    source: str
    spec: Mapping[str, Any]
    expectations: tuple[Expectation, ...]


UNCLIPPED = Group(name="without clipping", strategies=("none",))
BY_NORM = Group(name="clipped by norm", strategies=("norm",))


def _sizes(*, hidden_size: int, batch_size: int, steps: int, trials: int) -> dict[str, Any]:
    return {"model": {"hidden_size": hidden_size}, "batch_size": batch_size, "steps": steps, "trials": trials}


def _long_range(task: str, hidden: int, steps: int, trials: int, lengths: list[int], solved_below: float) -> Preset:
    return Preset(
        description=f"{task}: how many runs solve it with and without clipping, by length",
        source="Pascanu, Mikolov and Bengio 2013, arXiv 1211.5063, section 4.1, there with tanh units and SGD",
        spec={
            "task": task,
            "optimizer": "adam",
            **_sizes(hidden_size=hidden, batch_size=20, steps=steps, trials=trials),
            "space": {
                "strategies": ["none", "norm"],
                "learning_rate": [1e-3, 1.0],
                "thresholds": {"norm": AT_ONE},
                "factors": {"length": lengths},
            },
        },
        expectations=(
            Expectation(
                literature="clipping to help runs to solve the task",
                first=BY_NORM,
                second=UNCLIPPED,
                solved_below=solved_below,
                by="length",
            ),
        ),
    )


_RAW = {"standardize": False}

PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        "regression": Preset(
            description="the tutorials' exploding gradients: a dense network and targets in the hundreds, lr 0.01",
            source="Brownlee 2019, How to Avoid Exploding Gradients With Gradient Clipping; clipping as in Keras",
            spec={
                "task": "regression",
                "optimizer": "momentum",
                **_sizes(hidden_size=25, batch_size=32, steps=1600, trials=40),
                "space": {
                    "strategies": ["none", "norm", "param_norm", "value"],
                    "learning_rate": [0.00999, 0.01001],
                    "thresholds": {"norm": AT_ONE, "param_norm": AT_ONE, "value": [4.95, 5.05]},
                },
            },
            expectations=(
                Expectation(
                    literature="every run to diverge without clipping and none with it",
                    first=UNCLIPPED,
                    second=Group(name="with clipping", strategies=("norm", "param_norm", "value")),
                    expected="all and none",
                ),
            ),
        ),
        "temporal_order": _long_range("temporal_order", 50, 800, 96, [20, 40, 60], 0.0069),
        "adding": _long_range("adding", 32, 2500, 72, [10, 20, 30], 0.01),
        "sunspots": Preset(
            description="what makes gradients explode: raw data against standardised, squared errors against Huber's",
            source="the causes that tutorials name: unscaled data, large errors; clipping as the remedy",
            spec={
                "task": "sunspots",
                **_sizes(hidden_size=32, batch_size=16, steps=300, trials=192),
                "space": {
                    "strategies": ["none", "norm"],
                    "learning_rate": [1e-3, 1e3],
                    "thresholds": {"norm": AT_ONE},
                    "factors": {"standardize": [True, False], "loss": ["mse", "huber"]},
                },
            },
            expectations=(
                Expectation(
                    literature="raw data to make runs diverge more often than standardised data",
                    first=Group(name="on raw data", strategies=("none",), factors=_RAW),
                    second=Group(name="on standardised data", strategies=("none",), factors={"standardize": True}),
                    by="loss",
                ),
                Expectation(
                    literature="squared errors of raw data to make runs diverge more often than Huber's loss",
                    first=Group(name="with mse", strategies=("none",), factors=_RAW | {"loss": "mse"}),
                    second=Group(name="with huber", strategies=("none",), factors=_RAW | {"loss": "huber"}),
                ),
                Expectation(
                    literature="clipping to keep runs on raw data from diverging",
                    first=Group(name="without clipping", strategies=("none",), factors=_RAW),
                    second=Group(name="clipped by norm", strategies=("norm",), factors=_RAW),
                ),
            ),
        ),
        "scaling": Preset(
            description="gradient scaling (to a norm of 1) beside gradient clipping (to at most 1) on cmudict",
            source="Brownlee 2019, which names both as remedies; Pascanu, Mikolov and Bengio 2013 for clipping by norm",
            spec={
                "task": "cmudict",
                **_sizes(hidden_size=32, batch_size=32, steps=200, trials=192),
                "space": {
                    "strategies": ["none", "norm", "normalize"],
                    "learning_rate": [1.0, 100.0],
                    "thresholds": {"norm": AT_ONE, "normalize": AT_ONE},
                },
            },
            expectations=(
                Expectation(
                    literature="runs without clipping to diverge more often than those that are clipped",
                    first=UNCLIPPED,
                    second=BY_NORM,
                ),
                Expectation(
                    literature="runs without scaling to diverge more often than those with it",
                    first=Group(name="without scaling", strategies=("none",)),
                    second=Group(name="with scaling", strategies=("normalize",)),
                ),
                Expectation(
                    literature="scaling and clipping to serve equally well",
                    first=Group(name="with scaling", strategies=("normalize",)),
                    second=BY_NORM,
                    expected="no difference",
                ),
            ),
        ),
    }
)
"""Every preset by name."""


def preset_values(name: str, strategies: Sequence[str] | None = None) -> dict[str, Any]:
    """The values that the spec of a preset is made of; its study has the preset's name.

    Args:
        name: of the preset.
        strategies: that are searched instead of the preset's; thresholds of others are left out.

    Raises:
        SpecError: there is no such preset.
    """
    preset = PRESETS.get(str(name))
    if preset is None:
        raise SpecError(f"there is no preset {name!r}: choose from {', '.join(PRESETS)}")
    space = dict(preset.spec["space"])
    if strategies is not None:
        space["thresholds"] = {of: bounds for of, bounds in space["thresholds"].items() if of in strategies}
    # Verdicts compare rates over whole ranges, which a sampler that looks for the best setting does not cover evenly.
    return {"name": name, "preset": name, "sampler": "qmc", **preset.spec, "space": space}


def verdicts(spec: Mapping[str, Any], trials: pd.DataFrame) -> list[str]:
    """One sentence for each expectation of the preset that a study is made from; none for other studies.

    Args:
        spec: of the study, as JSON holds it.
        trials: its rows of ``trial_result``.
    """
    preset = PRESETS.get(spec.get("preset") or "")
    return [expectation.verdict(trials) for expectation in preset.expectations] if preset else []
