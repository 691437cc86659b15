"""What the literature recommends against exploding gradients."""

from collections.abc import Mapping
from types import MappingProxyType

from gradstudy.study.literature.expectations import Expectation, Group
from gradstudy.study.literature.preset import AT_ONE, BY_NORM, CLIPPING_HELPS, UNCLIPPED, Preset, sizes

AT_HALF = (0.495, 0.505)
AT_QUARTER = (0.2475, 0.2525)
WARMUP = 40
"""Steps, of 200."""

BY_VALUE = Group(name="clipped by value", strategies=("value",))
SCALED = Group(name="with scaling", strategies=("normalize",))
OTHERS_HELP = (
    Expectation(
        literature="runs without clipping to diverge more often than those that are clipped by value",
        first=UNCLIPPED,
        second=BY_VALUE,
    ),
    Expectation(
        literature="runs without scaling to diverge more often than those with it",
        first=Group(name="without scaling", strategies=("none",)),
        second=SCALED,
    ),
)
THRESHOLDS = {"norm": AT_ONE, "value": AT_HALF, "normalize": AT_ONE}
STRATEGIES = ["none", "norm", "value", "normalize"]

REMEDIES: Mapping[str, Preset] = MappingProxyType(
    {
        "scaling": Preset(
            description="gradient scaling (to a norm of 1) beside clipping by norm (1) and by value (0.5) on cmudict",
            source="Brownlee 2019, which names them as remedies; Pascanu, Mikolov and Bengio 2013 for clipping by norm",
            spec={
                "task": "cmudict",
                **sizes(hidden_size=32, batch_size=32, steps=200, trials=528),
                "space": {"strategies": STRATEGIES, "learning_rate": [1.0, 100.0], "thresholds": THRESHOLDS},
            },
            expectations=(
                Expectation(
                    literature="learning rates from 10 on to make runs diverge more often than those below",
                    first=Group(name="from 10 on", strategies=("none",), learning_rates=(10.0, 100.0)),
                    second=Group(name="below 10", strategies=("none",), learning_rates=(1.0, 10.0)),
                    worth_seeing=0.3,
                ),
                CLIPPING_HELPS,
                *OTHERS_HELP,
                Expectation(
                    literature="scaling and clipping by norm to serve equally well",
                    first=SCALED,
                    second=BY_NORM,
                    expected="no difference",
                ),
            ),
        ),
        "raw_data": Preset(
            description="the same remedies where gradients are large: raw sunspot numbers with squared errors",
            source="Brownlee 2019, which recommends them for unscaled data",
            spec={
                "task": "sunspots",
                "task_options": {"standardize": False},
                "loss": "mse",
                **sizes(hidden_size=32, batch_size=16, steps=300, trials=420),
                "space": {"strategies": STRATEGIES, "learning_rate": [1e-3, 1e3], "thresholds": THRESHOLDS},
            },
            expectations=(CLIPPING_HELPS, *OTHERS_HELP),
        ),
        "warmup": Preset(
            description=f"warm-up over {WARMUP} of 200 steps against none, and against clipping at 0.25",
            source="Kalra and Barkeshli 2024, arXiv 2406.09405: warm-up mainly lets learning rates be higher",
            spec={
                "task": "cmudict",
                **sizes(hidden_size=16, batch_size=32, steps=200, trials=528),
                "space": {
                    "strategies": ["none", "norm"],
                    "learning_rate": [1.0, 100.0],
                    "thresholds": {"norm": AT_QUARTER},
                    "factors": {"warmup": [0, WARMUP]},
                },
            },
            expectations=(
                Expectation(
                    literature="runs without warm-up to diverge more often than those with it (none of them clipped)",
                    first=Group(name="without warm-up", strategies=("none",), factors={"warmup": 0}),
                    second=Group(name="with warm-up", strategies=("none",), factors={"warmup": WARMUP}),
                ),
                Expectation(
                    literature="warm-up alone and clipping alone to serve equally well",
                    first=Group(name="with warm-up", strategies=("none",), factors={"warmup": WARMUP}),
                    second=Group(name="with clipping", strategies=("norm",), factors={"warmup": 0}),
                    expected="no difference",
                ),
            ),
        ),
    }
)
"""Every preset of this kind by name."""
