"""When a training run has diverged, stalled or trained.

The loss is smoothed by an exponential moving average with a half-life of 10 steps, corrected for its start (as in
Adam, arXiv 1412.6980). A spike is no divergence: runs recover from several times the initial loss. What does not come
back is a loss that is not finite or that blows up beyond a multiple of the initial loss; what has not come back by the
end of the budget is worse than the untrained model, by more than the noise of the batches explains, or has lost what it
had learned. A run that did nothing has stalled, whichever side of the initial loss it ended on.
"""

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal, Self, SupportsFloat, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from gradstudy.models.loss_names import LossKind
from gradstudy.study.divergence_rule import DivergenceRule

__all__ = ["DivergenceMonitor", "DivergenceRule", "Outcome", "Reason", "Verdict", "as_number", "log_ratio"]

Batch = TypeVar("Batch")
Outcome = Literal["trained", "stalled", "diverged", "pruned", "failed"]
Reason = Literal["non_finite_loss", "non_finite_gradient", "blow_up", "no_recovery", "collapse", "untrained_not_finite"]


SMALLEST_UNIT = 0.1
"""Of a loss that may be negative, in nats: batches that are all alike have no spread."""
WARM = 0.5
"""Weight of the finite losses in their average from which on its lowest value counts as learned."""


@dataclass(frozen=True)
class Verdict:
    """How a run ended.

    Attributes:
        outcome: trained, stalled or diverged; failed where the untrained model has no finite loss.
        reason: of a divergence or a failure.
        step: at which it diverged, counted from 0; None when it was only known at the end or did not diverge.
    """

    outcome: Outcome
    reason: Reason | None = None
    step: int | None = None


_STATE = (
    *("initial_loss", "spread", "measured_on", "steps", "skipped_steps"),
    *("_skipped_in_a_row", "_average", "_weight", "_squared_weight", "_lowest"),
)
"""What a monitor keeps from step to step."""


def log_ratio(smoothed_loss: float, initial_loss: float) -> float:
    """ln(s / l0) of two losses; infinite where one of them is 0."""
    if smoothed_loss <= 0 or initial_loss <= 0:
        return -math.inf if smoothed_loss <= initial_loss else math.inf
    return math.log(smoothed_loss / initial_loss)


class DivergenceMonitor:
    """Watches one training run, step by step: that of a study, or anybody's.

    Neither Optuna nor a database is needed. ``before_training`` makes one for a loop that is about to begin.
    """

    def __init__(
        self,
        initial_loss: SupportsFloat | Sequence[SupportsFloat],
        rule: DivergenceRule | None = None,
        *,
        loss: LossKind = "cross_entropy",
        guard: bool = False,
    ) -> None:
        """Start watching.

        Args:
            initial_loss: of the untrained model on each of the first batches, in the unit of the loss: l0 is their
                mean, and how far they spread tells what a run may gain or lose by chance. Of a single number nothing is
                known of the noise but ``rule.noise_share``.
            rule: the constants; the defaults are those of a study.
            loss: which loss is watched.
            guard: whether the loop skips steps with a non-finite loss or gradient; such batches do not count in l0.
        """
        self.rule = rule or DivergenceRule()
        losses = [as_number(each) for each in (initial_loss if isinstance(initial_loss, Sequence) else [initial_loss])]
        if guard:  # a batch whose step would be skipped tells nothing, unless there are only such batches
            losses = [loss for loss in losses if math.isfinite(loss)] or losses
        self.measured_on = len(losses)
        self.initial_loss = math.fsum(losses) / len(losses) if all(map(math.isfinite, losses)) else math.nan
        self.spread = statistics.stdev(losses) if len(losses) > 1 and math.isfinite(self.initial_loss) else 0.0
        self.guard = guard
        self.steps = 0
        self.skipped_steps = 0
        self._loss: LossKind = loss
        self._skipped_in_a_row = 0
        self._decay = 0.5 ** (1 / self.rule.half_life)
        self._average = 0.0
        self._weight = 0.0
        self._squared_weight = 0.0
        self._lowest = math.inf

    @classmethod
    def before_training(
        cls,
        compute_loss: Callable[[Batch], SupportsFloat],
        batches: Iterable[Batch],
        rule: DivergenceRule | None = None,
        *,
        loss: LossKind = "cross_entropy",
        guard: bool = False,
    ) -> Self:
        """Measure the initial loss as a study does: of the untrained model, on the first batches.

        Args:
            compute_loss: the loss of a batch, a number or a tensor of one; no gradient is kept.
            batches: what will be trained on; as many are taken as a study takes.
            rule: the constants; the defaults are those of a study.
            loss: which loss is watched.
            guard: whether the loop skips steps with a non-finite loss or gradient, as AMP's ``GradScaler`` does.

        Raises:
            ValueError: there is no batch, or the untrained model's loss is not finite on one.
        """
        import torch

        from gradstudy.models.array import INITIAL_BATCHES

        with torch.no_grad():
            losses = [as_number(compute_loss(batch)) for batch in islice(batches, INITIAL_BATCHES)]
        if not losses:
            raise ValueError("the initial loss is measured on the first batches, but there is no batch")
        monitor = cls(losses, rule, loss=loss, guard=guard)
        if not math.isfinite(monitor.initial_loss):
            bad = next(place for place, value in enumerate(losses) if not math.isfinite(value))
            raise ValueError(
                f"the loss of the untrained model must be finite, but batch {bad} gives {losses[bad]}: look at the "
                "data and the loss, no learning rate mends that"
            )
        return monitor

    @property
    def smoothed_loss(self) -> float:
        """s_t, the bias-corrected moving average of the finite losses so far; NaN before the first."""
        return self._average / self._weight if self._weight else math.nan

    @property
    def margin(self) -> float:
        """ln(s_t / l0): positive when the run is worse than untrained; NaN before the first finite loss."""
        return log_ratio(self.smoothed_loss, self.initial_loss)

    @property
    def may_be_negative(self) -> bool:
        """Whether the loss has no meaningful ratio to l0: a density's likelihood, whatever constant is added to it."""
        return self.rule.version > 1 and (self._loss == "likelihood" or self.initial_loss <= 0)

    @property
    def gain(self) -> float:
        """l0 less the lowest smoothed loss so far, at least 0: what the run has learned, in the unit of the loss."""
        return max(0.0, self.initial_loss - self._lowest)

    @property
    def noise(self) -> float:
        """How far s_t may lie from l0 by chance, in the unit of the loss.

        The larger of a share of l0 and some standard errors of l0 - s_t. Both are means of losses of single batches:
        one of those measured before training, the other weighted by the moving average.
        """
        unit = self._unit if self.may_be_negative else self.initial_loss
        share = self._squared_weight / self._weight**2 if self._weight else 1.0
        error = self.spread * math.sqrt(1 / self.measured_on + share)
        return max(self.rule.noise_share * unit, self.rule.noise_errors * error)

    @property
    def _unit(self) -> float:
        """What rises of a loss that may be negative are measured in: what it varies by, and what was learned."""
        return max(self.spread + self.gain, SMALLEST_UNIT)

    @property
    def limit(self) -> float:
        """The smoothed loss above which a run has blown up."""
        if self.may_be_negative:
            return self.initial_loss + self.rule.blow_up_spread * self._unit
        return self.rule.blow_up_factor(self._loss) * self.initial_loss

    def observe(self, loss: SupportsFloat, grad_norm: SupportsFloat) -> Verdict | None:
        """Take in one step: the loss before it and the gradient's norm before clipping, numbers or tensors of one.

        Returns:
            The verdict when the run has diverged and should stop, otherwise None.
        """
        loss, grad_norm = as_number(loss), as_number(grad_norm)
        step = self.steps
        self.steps += 1
        reason: Reason | None = None
        if not math.isfinite(loss):
            reason = "non_finite_loss"
        elif not math.isfinite(grad_norm):
            reason = "non_finite_gradient"
        if reason and self.guard:
            self.skipped_steps += 1
            self._skipped_in_a_row += 1
            if self._skipped_in_a_row < self.rule.skipped_in_a_row:
                reason = None
        else:
            self._skipped_in_a_row = 0
        if reason:
            return Verdict("diverged", reason, step)
        if math.isfinite(loss):
            self._average = self._decay * self._average + (1 - self._decay) * loss
            self._weight = self._decay * self._weight + (1 - self._decay)
            self._squared_weight = self._decay**2 * self._squared_weight + (1 - self._decay) ** 2
            if self._weight >= WARM:
                self._lowest = min(self._lowest, self.smoothed_loss)
            if self.smoothed_loss > self.limit:
                return Verdict("diverged", "blow_up", step)
        return None

    def observe_all(self, losses: ArrayLike, grad_norms: ArrayLike) -> Verdict | None:
        """Take in several steps, [steps] each, up to the one that diverges."""
        for loss, grad_norm in zip(np.asarray(losses).tolist(), np.asarray(grad_norms).tolist(), strict=True):
            verdict = self.observe(loss, grad_norm)
            if verdict:
                return verdict
        return None

    def state_dict(self) -> dict[str, float]:
        """What was seen so far, to go on from a checkpoint; the constants are the constructor's."""
        return {name.strip("_"): getattr(self, name) for name in _STATE}

    def load_state_dict(self, state_dict: Mapping[str, float]) -> None:
        """Go on from where ``state_dict`` was taken."""
        for name in _STATE:
            setattr(self, name, state_dict[name.strip("_")])

    def finish(self, validation_loss: float | None = None, untrained_validation_loss: float | None = None) -> Verdict:
        """The verdict on a run that reached the end of its budget.

        Args:
            validation_loss: at the end, where there is one: a run whose training loss rose late has only collapsed when
                what it had learned is gone there, too.
            untrained_validation_loss: the same before training.
        """
        smoothed, rule = self.smoothed_loss, self.rule
        if rule.version == 1:
            if not smoothed <= rule.no_recovery_above * self.initial_loss:
                return Verdict("diverged", "no_recovery")
            return Verdict("stalled" if smoothed > rule.stalled_above * self.initial_loss else "trained")
        noise = self.noise
        if not smoothed <= self.initial_loss + noise:
            return Verdict("diverged", "no_recovery")
        if self._has_collapsed(smoothed, noise) and self._is_lost(validation_loss, untrained_validation_loss):
            return Verdict("diverged", "collapse")
        return Verdict("stalled" if smoothed > self.initial_loss - noise else "trained")

    def _has_collapsed(self, smoothed: float, noise: float) -> bool:
        """Whether more than the accepted share of what was learned is lost, and that was more than a chance gain."""
        enough = noise if self.may_be_negative else max(noise, self.rule.collapse_gain * self.initial_loss)
        return self.gain >= enough and smoothed > self.initial_loss - (1 - self.rule.collapse) * self.gain

    def _is_lost(self, validation_loss: float | None, untrained: float | None) -> bool:
        """Whether the validation loss has gained less than what the training loss may have lost."""
        if validation_loss is None or untrained is None or not math.isfinite(validation_loss):
            return True
        unit = 1.0 if self.may_be_negative else untrained / self.initial_loss
        return validation_loss > untrained - (1 - self.rule.collapse) * self.gain * unit


def as_number(given: SupportsFloat) -> float:
    """A number, or what a tensor of one holds, without the warning that it has a gradient."""
    item = getattr(given, "item", None)
    return float(item() if item else given)
