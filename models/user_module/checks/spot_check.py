"""Now and then, a step of a run alone beside what the batch made of it: for what no first step can show."""

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from gradstudy.models.user_module.checks.comparison import Taken, difference, in_float64_differs, tolerance
from gradstudy.models.user_module.padding import AS_THEY_ARE, signature
from gradstudy.models.user_module.run import ModuleRun

EVERY = 64
"""Batches from one check to the next, of which each costs as much as the step of one trial alone. The first are closer:
at batch 2, 4, 8, 16 and 32."""

LOOKED_AT = frozenset(2 * 4**n for n in range(16))
"""Steps at which runs whose batches are padded are compared again with what they do alone."""

TOLERANCE = 1e-3
"""Of losses and gradients, as ``disagreement``; more of trained models is looked at again in float64."""


class WrongInBatchError(RuntimeError):
    """A batched program gave other numbers than the user's own module."""


class SpotChecks:
    """Tells which runs of which batches are checked: each padded one at some steps, and one of a batch in turn."""

    def __init__(self) -> None:
        self._batches = self._checks = 0

    def due(self) -> bool:
        """Whether one run of the next batch is checked."""
        self._batches += 1
        return self._batches % EVERY == 0 or self._batches in (2, 4, 8, 16, 32)

    def alone(
        self, runs: Sequence[ModuleRun], batches: Sequence[Any], stacked: Sequence[Any], load: Callable[[int], None]
    ) -> dict[int, Taken]:
        """What the runs that are checked make of their step alone, by place, before the batch takes it.

        Args:
            runs: that go through one program.
            batches: one for each run.
            stacked: the same of one shape.
            load: gives the module of the run at a place its parameters.
        """
        of_runs = enumerate(zip(runs, batches, stacked, strict=True))
        places = {place for place, (run, *given) in of_runs if run.steps in LOOKED_AT and is_padded(run, *given)}
        if self.due():
            places.add(self._checks % len(runs))
            self._checks += 1
        found = {}
        for place in places:
            load(place)
            found[place] = _alone(runs[place], batches[place])
        return found


def _alone(run: ModuleRun, batch: Any) -> Taken:
    with run.unchanged(anew=False):
        loss, gradients = run.gradients(batch, run.steps - 1, advance=False)
        return _taken(run, loss, gradients)


def _taken(run: ModuleRun, loss: Tensor, gradients: Sequence[Tensor | None]) -> Taken:
    assert run.company is not None
    return Taken.of(run, loss, gradients, run.company.carried)


def is_padded(run: ModuleRun, batch: Any, stacked: Any) -> bool:
    """Whether anything of a run's batch is padded, as it is stacked."""
    return run.padding is AS_THEY_ARE or signature(batch) != signature(stacked)


def suspicion(
    alone: Taken, run: ModuleRun, loss: Tensor, gradients: Sequence[Tensor | None], *, padded: bool
) -> str | None:
    """How a run's step in the batch differs from the same alone, which may be rounding; None where it does not."""
    allowed = tolerance(run) if padded and run.steps in LOOKED_AT else TOLERANCE
    return difference(alone, _taken(run, loss, gradients), allowed)


def confirm(reason: str, place: int, runs: Sequence[ModuleRun], batches: Sequence[Any]) -> None:
    """Compute the step of the run at a place in float64, in the same batch; each run's module holds its parameters.

    Raises:
        WrongInBatchError: there it differs, too.
        Exception: it cannot be computed in float64.
    """
    found = in_float64_differs(runs, (), now=batches, of=place)
    if found is not None:
        raise WrongInBatchError(
            f"at step {runs[place].steps} this model computed something else in a batch than alone: {reason}; set "
            "one_at_a_time = True on the function that returns the problem (problem.one_at_a_time = True)"
        )
