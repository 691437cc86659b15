"""What the literature says makes gradients explode."""

from collections.abc import Mapping
from types import MappingProxyType

from gradstudy.study.literature.expectations import Expectation, Group
from gradstudy.study.literature.preset import AT_ONE, UNCLIPPED, Preset, sizes

RAW = {"standardize": False}
SHORT, LONG = 5, 30
"""Symbols of the longest sequences; of lengths from 1 on, each as frequent."""
RATES = (0.5, 500.0)


def tokens(longest: int) -> float:
    """What a summed loss of one sequence is made of, on average: its symbols and the end."""
    return (longest + 1) / 2 + 1


def _summed(longest: int) -> tuple[float, float]:
    """Of the learning rates of an averaged loss those that are alike for sums: a sum's gradient is ``tokens`` times."""
    low, high = RATES[0] / tokens(SHORT), RATES[1] / tokens(LONG)
    return low * tokens(longest), high * tokens(longest)


CAUSES: Mapping[str, Preset] = MappingProxyType(
    {
        "regression": Preset(
            description="the tutorials' exploding gradients: a dense network and targets in the hundreds, lr 0.01",
            source="Brownlee 2019, How to Avoid Exploding Gradients With Gradient Clipping; clipping as in Keras",
            spec={
                "task": "regression",
                "optimizer": "momentum",
                **sizes(hidden_size=25, batch_size=32, steps=1600, trials=120),
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
        "sunspots": Preset(
            description="what makes gradients explode: raw data against standardised, squared errors against Huber's",
            source="the causes that tutorials name: unscaled data, large errors",
            spec={
                "task": "sunspots",
                **sizes(hidden_size=32, batch_size=16, steps=300, trials=420),
                "space": {
                    "strategies": ["none"],
                    "learning_rate": [1e-3, 1e3],
                    "factors": {"standardize": [True, False], "loss": ["mse", "huber"]},
                },
            },
            expectations=(
                Expectation(
                    literature="raw data to make runs diverge more often than standardised data",
                    first=Group(name="on raw data", strategies=("none",), factors=RAW),
                    second=Group(name="on standardised data", strategies=("none",), factors={"standardize": True}),
                    by="loss",
                ),
                Expectation(
                    literature="squared errors of raw data to make runs diverge more often than Huber's loss",
                    first=Group(name="with mse", strategies=("none",), factors=RAW | {"loss": "mse"}),
                    second=Group(name="with huber", strategies=("none",), factors=RAW | {"loss": "huber"}),
                ),
            ),
        ),
        "length": Preset(
            description="long sequences against short ones, with a loss that is averaged over symbols and one of sums",
            source="Pascanu, Mikolov and Bengio 2013, arXiv 1211.5063: gradients grow with the length; sums as in "
            "Sutskever, Vinyals and Le 2014, arXiv 1409.3215",
            spec={
                "task": "copy",
                **sizes(hidden_size=16, batch_size=32, steps=200, trials=280),
                "space": {
                    "strategies": ["none"],
                    "learning_rate": RATES,
                    "factors": {"max_length": [SHORT, LONG]},
                },
            },
            expectations=(
                Expectation(
                    literature="long sequences to make runs diverge more often than short ones (loss averaged)",
                    first=Group(name=f"of up to {LONG}", strategies=("none",), factors={"max_length": LONG}),
                    second=Group(name=f"of up to {SHORT}", strategies=("none",), factors={"max_length": SHORT}),
                ),
                Expectation(
                    literature="long sequences to make runs diverge more often than short ones (loss summed, for which "
                    "those runs count whose learning rates are alike when divided by the symbols of a sequence)",
                    first=Group(
                        name=f"of up to {LONG}",
                        strategies=("none",),
                        factors={"max_length": LONG},
                        learning_rates=_summed(LONG),
                    ),
                    second=Group(
                        name=f"of up to {SHORT}",
                        strategies=("none",),
                        factors={"max_length": SHORT},
                        learning_rates=_summed(SHORT),
                    ),
                ),
            ),
        ),
        "adam": Preset(
            description="Adam's memory of squares, long against short, and its epsilon, small against large",
            source="AdaGC, arXiv 2502.11034, which names both as what makes losses spike",
            spec={
                "task": "cmudict",
                "optimizer": "adam",
                **sizes(hidden_size=16, batch_size=32, steps=200, trials=240),
                "space": {
                    "strategies": ["none"],
                    "learning_rate": [1e-2, 10.0],
                    "factors": {"beta2": [0.9, 0.999], "epsilon": [1e-8, 1e-3]},
                },
            },
            expectations=(
                Expectation(
                    literature="runs with beta2 0.999 to diverge more often than those with 0.9",
                    first=Group(name="with beta2 0.999", strategies=("none",), factors={"beta2": 0.999}),
                    second=Group(name="with beta2 0.9", strategies=("none",), factors={"beta2": 0.9}),
                ),
                Expectation(
                    literature="runs with epsilon 1e-8 to diverge more often than those with 1e-3",
                    first=Group(name="with epsilon 1e-8", strategies=("none",), factors={"epsilon": 1e-8}),
                    second=Group(name="with epsilon 1e-3", strategies=("none",), factors={"epsilon": 1e-3}),
                ),
            ),
        ),
    }
)
"""Every preset of this kind by name."""
