"""Now and then, a step of one slot alone beside what the batch made of it: for what no first step can show."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from torch import Tensor

from gradstudy.models.user_module.batching import strictly_batched
from gradstudy.models.user_module.checks.disagreement import differing_buffer, disagreement
from gradstudy.models.user_module.checks.one_step import buffers_of, first_step, in_float64_differs
from gradstudy.models.user_module.run import ModuleRun

EVERY = 64
"""Batches from one check to the next, of which each costs as much as the step of one trial alone. The first are closer:
at batch 2, 4, 8, 16 and 32."""

TOLERANCE = 1e-3
"""Of losses and gradients, as ``disagreement``; more of trained models is looked at again in float64."""


class Alone(NamedTuple):
    """What one slot of a batch makes of its step alone.

    Attributes:
        number: of the slot in the batch.
        loss: of the step.
        gradients: of each parameter.
        buffers: after the step.
    """

    number: int
    loss: Tensor
    gradients: list[Tensor | None]
    buffers: dict[str, Tensor]


class WrongInBatchError(RuntimeError):
    """A batched program gave other numbers than the user's own module."""


class SpotChecks:
    """Tells which batches are checked, and takes a slot of each in turn."""

    def __init__(self) -> None:
        self._batches = self._checks = 0

    def due(self) -> bool:
        """Whether the next batch is checked."""
        self._batches += 1
        return self._batches % EVERY == 0 or self._batches in (2, 4, 8, 16, 32)

    def alone(self, loaded: Callable[[], Sequence[ModuleRun]], batches: Sequence[Any]) -> Alone | None:
        """A slot's step alone, before the batch takes it; None where it is not due or fails.

        Args:
            loaded: gives the runs of the batch, each of whose modules holds its parameters.
            batches: of the runs.
        """
        if not self.due():
            return None
        with suppress(Exception, SystemExit):
            runs = loaded()
            number = self._checks % len(runs)
            self._checks += 1
            return Alone(number, *first_step(runs[number], batches[number], runs[number].steps - 1))
        return None


def suspicion(alone: Alone, run: ModuleRun, loss: Tensor, gradients: Sequence[Tensor | None]) -> str | None:
    """How a slot's step in the batch differs from the same alone, which may be rounding; None where it does not."""
    of_slot = [None if gradient is None else gradient[alone.number] for gradient in gradients]
    reason = disagreement((alone.loss, alone.gradients), (loss, of_slot), TOLERANCE)
    return reason or differing_buffer(alone.buffers, buffers_of(run))


def confirm(reason: str, runs: Sequence[ModuleRun], batches: Sequence[Any]) -> None:
    """Compute the same step in float64; each run's module holds its parameters.

    Raises:
        WrongInBatchError: there it differs, too.
        Exception: it cannot be computed in float64.
    """
    found = in_float64_differs(runs, [run.steps - 1 for run in runs], batches, strictly_batched)
    if found is not None:
        raise WrongInBatchError(
            f"at step {runs[0].steps} this model computed something else in a batch than alone: {reason}; set "
            "one_at_a_time = True on the function that returns the problem (problem.one_at_a_time = True)"
        )
