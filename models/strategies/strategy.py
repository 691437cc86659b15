"""What is known of one clipping strategy: rule, threshold and the PyTorch to paste."""

import math
from dataclasses import dataclass


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
        skips: whether it skips steps: parameters and optimizer stay as they are, and the schedule goes on.
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
    skips: bool = False
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
