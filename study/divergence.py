"""When a training run has diverged, stalled or trained.

The loss is smoothed by an exponential moving average with a half-life of 10 steps, corrected for its start (as in
Adam, arXiv 1412.6980). A spike is no divergence: runs recover from several times the initial loss. What does not come
back is a loss that is not finite or that blows up beyond a multiple of the initial loss; what has not come back by the
end of the budget is worse than the untrained model.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Literal, Self, SupportsFloat, TypeVar

import numpy as np
from numpy.typing import ArrayLike
from pydantic import BaseModel, ConfigDict, Field

from gradstudy.models.loss_names import LossKind

Batch = TypeVar("Batch")
Outcome = Literal["trained", "stalled", "diverged", "pruned", "failed"]
Reason = Literal["non_finite_loss", "non_finite_gradient", "blow_up", "no_recovery"]


class DivergenceRule(BaseModel):
    """The constants of the definition of divergence, part of every spec."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    half_life: float = Field(default=10.0, gt=0, description="of the smoothed loss, in steps")
    blow_up: float = Field(
        default=5.0, gt=1, description="smoothed loss over initial loss that ends a run, for absolute errors"
    )
    blow_up_squared: float = Field(default=100.0, gt=1, description="the same for squared errors")
    stalled_above: float = Field(
        default=0.99,
        gt=0,
        le=1,
        description="a run that ends above this share of the initial loss has stalled",
    )
    no_recovery_above: float = Field(
        default=1.0,
        ge=1,
        description="a run that ends above this multiple of the initial loss has diverged; noisy data need some room",
    )
    skipped_in_a_row: int = Field(
        default=5, ge=1, description="steps that the non-finite guard may skip in a row before the run ends"
    )

    def blow_up_factor(self, loss: LossKind) -> float:
        """The multiple of the initial loss at which a run has blown up."""
        return self.blow_up_squared if loss == "mse" else self.blow_up


@dataclass(frozen=True)
class Verdict:
    """How a run ended.

    Attributes:
        outcome: trained, stalled or diverged.
        reason: of a divergence.
        step: at which it diverged, counted from 0; None when it was only known at the end or did not diverge.
    """

    outcome: Outcome
    reason: Reason | None = None
    step: int | None = None


_STATE = ("initial_loss", "steps", "skipped_steps", "_skipped_in_a_row", "_average", "_weight")
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
        initial_loss: float,
        rule: DivergenceRule | None = None,
        *,
        loss: LossKind = "cross_entropy",
        guard: bool = False,
    ) -> None:
        """Start watching.

        Args:
            initial_loss: l0, of the untrained model on the first batches, in the unit of the loss.
            rule: the constants; the defaults are those of a study.
            loss: which loss is watched.
            guard: whether the loop skips steps with a non-finite loss or gradient.
        """
        self.rule = rule or DivergenceRule()
        self.initial_loss = initial_loss
        self.guard = guard
        self.steps = 0
        self.skipped_steps = 0
        self._skipped_in_a_row = 0
        self._factor = self.rule.blow_up_factor(loss)
        self._limit = self._factor * initial_loss
        self._decay = 0.5 ** (1 / self.rule.half_life)
        self._average = 0.0
        self._weight = 0.0

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
            ValueError: there is no batch.
        """
        import torch

        from gradstudy.models.array import INITIAL_BATCHES

        with torch.no_grad():
            losses = [_number(compute_loss(batch)) for batch in islice(batches, INITIAL_BATCHES)]
        if not losses:
            raise ValueError("the initial loss is measured on the first batches, but there is no batch")
        return cls(math.fsum(losses) / len(losses), rule, loss=loss, guard=guard)

    @property
    def smoothed_loss(self) -> float:
        """s_t, the bias-corrected moving average of the finite losses so far; NaN before the first."""
        return self._average / self._weight if self._weight else math.nan

    @property
    def margin(self) -> float:
        """ln(s_t / l0): positive when the run is worse than untrained; NaN before the first finite loss."""
        return log_ratio(self.smoothed_loss, self.initial_loss)

    def observe(self, loss: SupportsFloat, grad_norm: SupportsFloat) -> Verdict | None:
        """Take in one step: the loss before it and the gradient's norm before clipping, numbers or tensors of one.

        Returns:
            The verdict when the run has diverged and should stop, otherwise None.
        """
        loss, grad_norm = _number(loss), _number(grad_norm)
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
            if self.smoothed_loss > self._limit:
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
        self._limit = self._factor * self.initial_loss

    def finish(self) -> Verdict:
        """The verdict on a run that reached the end of its budget."""
        smoothed = self.smoothed_loss
        if not smoothed <= self.rule.no_recovery_above * self.initial_loss:
            return Verdict("diverged", "no_recovery")
        if smoothed > self.rule.stalled_above * self.initial_loss:
            return Verdict("stalled")
        return Verdict("trained")


def _number(given: SupportsFloat) -> float:
    """A number, or what a tensor of one holds, without the warning that it has a gradient."""
    item = getattr(given, "item", None)
    return float(item() if item else given)
