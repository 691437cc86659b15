"""The catalogue of clipping strategies: rule, threshold and the PyTorch to paste. Does not import torch."""

import math
from dataclasses import dataclass

from gradstudy.models.step_by_step import STEP_BY_STEP

BY_NORM, BY_VALUE = "recurrent", "recurrent_value"
"""The strategies that clip inside the backward pass through time."""


class StrategyError(ValueError):
    """A strategy or a threshold that does not exist."""


@dataclass(frozen=True, kw_only=True)
class Strategy:
    """One way to bound a gradient before the optimizer uses it.

    In ``rule``, g is the gradient of the whole model as one vector, g_p that of one parameter, g_i one
    entry or unit, and c the threshold.

    Attributes:
        name: what specs, tables and reports call it.
        rule: the formula, in one line.
        unit: what the threshold measures; None for a strategy without threshold.
        low: lower end of the default (logarithmic) search range; None without threshold.
        high: upper end of the default search range; None without threshold.
        limit: the largest threshold that means anything.
        source: where the rule comes from.
        setup: PyTorch to run once, before the training loop; empty for a strategy without state.
        step: PyTorch to run between ``loss.backward()`` and ``optimizer.step()``, with ``{c}`` as threshold.
        inside: whether it acts inside the backward pass of recurrent layers: ``setup`` changes the model, with
            ``{c}`` as threshold, and nothing is left to do after it.
    """

    name: str
    rule: str
    unit: str | None = None
    low: float | None = None
    high: float | None = None
    limit: float = math.inf
    source: str
    setup: str = ""
    step: str
    inside: bool = False

    def check(self, threshold: float | None) -> None:
        """Raise StrategyError unless ``threshold`` is one that this strategy takes."""
        if self.unit is None:
            if threshold is not None:
                raise StrategyError(f"strategy '{self.name}' takes no threshold, but got {threshold!r}")
        elif threshold is None:
            raise StrategyError(f"strategy '{self.name}' needs a threshold ({self.unit}), but got none")
        elif not (0 < threshold <= self.limit and math.isfinite(threshold)):
            at_most = "" if math.isinf(self.limit) else f", at most {self.limit:g}"
            raise StrategyError(
                f"the threshold of strategy '{self.name}' ({self.unit}) must be a finite number above 0"
                f"{at_most}, but got {threshold!r}"
            )

    def pytorch(self, threshold: float | None = None) -> str:
        """The lines of PyTorch that apply the strategy to ``model`` at ``threshold``.

        They go between ``loss.backward()`` and ``optimizer.step()``; where the strategy has state, comments
        say which lines go before the training loop.

        Raises:
            StrategyError: if the strategy does not take this threshold.
        """
        step = self.pytorch_step(threshold)
        if not self.setup:
            return step
        return f"# once, before the training loop\n{self.pytorch_setup(threshold)}\n\n# after loss.backward()\n{step}"

    def pytorch_setup(self, threshold: float | None = None) -> str:
        """The part of :meth:`pytorch` that runs once; raises StrategyError as it does."""
        return self._at(self.setup, threshold)

    def pytorch_step(self, threshold: float | None = None) -> str:
        """The part of :meth:`pytorch` that runs at every step; raises StrategyError as it does."""
        return self._at(self.step, threshold)

    def _at(self, code: str, threshold: float | None) -> str:
        """The code at ``threshold``."""
        self.check(threshold)
        return code if threshold is None else code.replace("{c}", repr(float(threshold)))


_TOTAL_NORM = (
    "gradients = [p.grad for p in model.parameters() if p.grad is not None]\n"
    "norm = torch.nn.utils.get_total_norm(gradients)"
)

_NOTHING_LEFT = "# nothing: the layers have clipped inside loss.backward(), and optimizer.step() follows"

_CATALOGUE = (
    Strategy(
        name="none",
        rule="g",
        source="baseline",
        step="# no clipping: optimizer.step() follows loss.backward()",
    ),
    Strategy(
        name="norm",
        rule="g * min(1, c / (‖g‖ + 1e-6))",
        unit="norm of the gradient",
        low=0.01,
        high=10.0,
        source="Pascanu, Mikolov, Bengio 2013, arXiv 1211.5063; torch.nn.utils.clip_grad_norm_",
        step="torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm={c})",
    ),
    Strategy(
        name="value",
        rule="clamp(g_i, -c, c) for each entry",
        unit="value of an entry",
        low=1e-4,
        high=1.0,
        source="Mikolov 2012; torch.nn.utils.clip_grad_value_",
        step="torch.nn.utils.clip_grad_value_(model.parameters(), clip_value={c})",
    ),
    Strategy(
        name="param_norm",
        rule="g_p * c / max(‖g_p‖, c) for each parameter",
        unit="norm of a parameter's gradient",
        low=1e-3,
        high=10.0,
        source="Keras clipnorm (Keras global_clipnorm is the strategy norm)",
        step=("for p in model.parameters():\n    torch.nn.utils.clip_grad_norm_(p, max_norm={c})"),
    ),
    Strategy(
        name="normalize",
        rule="c * g / (‖g‖ + 1e-6), always",
        unit="norm of the gradient",
        low=0.01,
        high=10.0,
        source="normalised gradient descent; Zhang et al. 2020, arXiv 1905.11881",
        step=f"{_TOTAL_NORM}\nfor gradient in gradients:\n    gradient.mul_({{c}} / (norm + 1e-6))",
    ),
    Strategy(
        name="standardize",
        rule="(g_p - mean(g_p)) / (std(g_p) + 1e-8) for each parameter of more than two entries",
        source="ZNorm, arXiv 2408.01215",
        step=(
            "for p in model.parameters():\n"
            "    if p.grad is not None and p.grad.numel() > 2:\n"
            "        std, mean = torch.std_mean(p.grad, correction=0)\n"
            "        p.grad.sub_(mean).div_(std + 1e-8)"
        ),
    ),
    Strategy(
        name="agc",
        rule="g_i * min(1, c * max(‖w_i‖, 1e-3) / ‖g_i‖) for each output unit with weights w_i",
        unit="ratio of a unit's gradient norm to its weight norm",
        low=1e-3,
        high=1.0,
        source="Brock et al. 2021, arXiv 2102.06171",
        step=(
            "for p in [p for p in model.parameters() if p.grad is not None]:\n"
            "    axes = tuple(range(1, p.ndim)) or (0,)  # a unit is a row of a matrix, or a vector\n"
            "    norm = torch.linalg.vector_norm(p.grad, dim=axes, keepdim=True)\n"
            "    weight_norm = torch.linalg.vector_norm(p.detach(), dim=axes, keepdim=True)\n"
            "    max_norm = {c} * weight_norm.clamp(min=1e-3)\n"
            "    p.grad.mul_(torch.where(norm > max_norm, max_norm / norm, 1.0))"
        ),
    ),
    Strategy(
        name="autoclip",
        rule="norm, at the c-th percentile of all norms seen so far",
        unit="percent of the norms seen",
        low=1.0,
        high=90.0,
        limit=100.0,
        source="Seetharaman et al. 2020, arXiv 2007.14469",
        setup="import numpy\n\nnorms, max_norm = [], 0.0",
        step=(
            f"{_TOTAL_NORM}.item()\n"
            "if numpy.isfinite(norm):\n"
            "    norms.append(norm)\n"
            "    max_norm = numpy.percentile(norms, {c})\n"
            "torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm)"
        ),
    ),
    Strategy(
        name="zclip",
        rule="25 steps of warm-up, then where z = (‖g‖ - mean) / std > c: norm, at mean + c * std * c / z",
        unit="z-score of the norm",
        low=0.5,
        high=8.0,
        source="Kumar et al. 2025, arXiv 2504.02507",
        setup="import math\nimport statistics\n\nnorms, mean, variance = [], 0.0, 0.0",
        step=(
            f"{_TOTAL_NORM}.item()\n"
            "if len(norms) == 25:  # the warm-up is over\n"
            "    std, seen = math.sqrt(variance), norm\n"
            "    z = (norm - mean) / (std + 1e-6)\n"
            "    if not z <= {c}:\n"
            "        seen = mean + {c} * std * {c} / z\n"
            "        torch.nn.utils.clip_grad_norm_(model.parameters(), seen)\n"
            "    if math.isfinite(norm):\n"
            "        mean = 0.97 * mean + 0.03 * seen\n"
            "        variance = 0.97 * variance + 0.03 * (seen - mean) ** 2\n"
            "elif math.isfinite(norm):\n"
            "    norms.append(norm)\n"
            "    mean, variance = statistics.fmean(norms), statistics.pvariance(norms)"
        ),
    ),
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

STRATEGIES: dict[str, Strategy] = {strategy.name: strategy for strategy in _CATALOGUE}
"""Every strategy by name. The thresholds have different units: never search them on one axis."""

SEARCHED_BY_DEFAULT = tuple(strategy.name for strategy in _CATALOGUE if not strategy.inside)
"""The strategies of a study that names none."""


def find_strategy(name: str) -> Strategy:
    """The strategy of that name; raises StrategyError, which lists the names, if there is none."""
    if name not in STRATEGIES:
        raise StrategyError(f"there is no strategy '{name}': choose from {', '.join(STRATEGIES)}")
    return STRATEGIES[name]


def find_after_backward(name: str) -> Strategy:
    """The strategy of that name, which clips gradients after the backward pass.

    Raises:
        StrategyError: there is no such strategy, or it acts inside the backward pass.
    """
    strategy = find_strategy(name)
    if strategy.inside:
        raise StrategyError(
            f"strategy {name!r} clips inside the backward pass, so nothing can be done after it: put the code of "
            f"STRATEGIES[{name!r}].pytorch(threshold) before your training loop"
        )
    return strategy


def code_length(name: str) -> int:
    """How long the code of a strategy is, in characters: of two that are as good, the shorter one is pasted."""
    strategy = STRATEGIES[name]
    return len(strategy.setup) + len(strategy.step)
