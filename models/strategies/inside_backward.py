"""The strategies that clip inside the backward pass through time; a study compares them only where they are named."""

from gradstudy.models.strategies.step_by_step import STEP_BY_STEP
from gradstudy.models.strategies.strategy import Strategy

BY_NORM, BY_VALUE = "recurrent", "recurrent_value"

_NOTHING_LEFT = "# nothing: the layers have clipped inside loss.backward(), and optimizer.step() follows"

INSIDE_BACKWARD = (
    Strategy(
        name=BY_NORM,
        rule="d * min(1, c / (‖d‖ + 1e-6)), d the gradient of a layer's state at a time step",
        unit="norm of a state's gradient at one time step",
        low=1e-4,
        high=1.0,
        source="after Kaldi's ClipGradientComponent (there of each sequence); Pascanu et al. 2013, arXiv 1211.5063",
        setup=STEP_BY_STEP.replace("{clipped}", "d * ({c} / (d.norm() + 1e-6)).clamp(max=1.0)"),
        step=_NOTHING_LEFT,
        inside=True,
    ),
    Strategy(
        name=BY_VALUE,
        rule="clamp(d_i, -c, c) for each entry, d the gradient of a layer's state at a time step",
        unit="value of an entry of a state's gradient",
        low=1e-5,
        high=0.1,
        source="after Graves 2013, arXiv 1308.0850 (there of what enters the gates)",
        setup=STEP_BY_STEP.replace("{clipped}", "d.clamp(-{c}, {c})"),
        step=_NOTHING_LEFT,
        inside=True,
    ),
)
