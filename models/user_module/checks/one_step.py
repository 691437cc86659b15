"""A step of several runs alone, and what a batch makes of it."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor

from gradstudy.models.user_module.checks.disagreement import differing_buffer, disagreement, strict_disagreement
from gradstudy.models.user_module.checks.in_float64 import batch_in_float64, in_float64
from gradstudy.models.user_module.run import ModuleRun

BatchedGradients = Callable[..., tuple[Tensor, list[Tensor | None]]]
"""Of a skeleton, runs, parameters, batches and steps, as ``batching.batched_gradients``."""


class Step:
    """A step of several runs, each alone, which leaves no trace."""

    def __init__(self, runs: Sequence[ModuleRun], steps: Sequence[int], batches: Sequence[Any]) -> None:
        """Compute it alone; each run's module holds its parameters."""
        self._runs, self._steps, self._batches = runs, steps, batches
        self._alone = [first_step(*one) for one in zip(runs, batches, steps, strict=True)]

    def disagreement(self, batched_gradients: BatchedGradients, *, strict: bool = False) -> str | None:
        """How the same step in a batch differs; None where it does not.

        Raises:
            Exception: it cannot be batched.
        """
        runs, batches = self._runs, self._batches
        parameters = {name: torch.stack([run.parameters[name].detach() for run in runs]) for name in runs[0].parameters}
        with ExitStack() as stack:
            for run in runs:
                stack.enter_context(run.unchanged())
            losses, gradients = batched_gradients(runs[0], runs, parameters, batches, self._steps)
            after = [buffers_of(run) for run in runs]
        for number, (loss, of_single, buffers) in enumerate(self._alone):
            of_batched = [None if gradient is None else gradient[number] for gradient in gradients]
            single, batched = (loss, of_single), (losses[number], of_batched)
            reason = disagreement(single, batched) or differing_buffer(buffers, after[number])
            if reason is None and strict:
                reason = strict_disagreement(parameters, single, batched)
            if reason:
                return reason
        return None


def in_float64_differs(
    runs: Sequence[ModuleRun],
    steps: Sequence[int],
    batches: Sequence[Any],
    batched_gradients: BatchedGradients,
    *,
    strict: bool = False,
) -> str | None:
    """How a step of several runs in a batch differs in float64, if ``strict`` by each parameter; None if it does not.

    Raises:
        Exception: it cannot be computed in float64.
    """
    with ExitStack() as stack:
        for run in runs:
            stack.enter_context(in_float64(run.module))
        alone = Step(runs, steps, [batch_in_float64(batch) for batch in batches])
        return alone.disagreement(batched_gradients, strict=strict)


def first_step(run: ModuleRun, batch: Any, step: int) -> tuple[Tensor, list[Tensor | None], dict[str, Tensor]]:
    """Loss, gradients and the buffers after a step of a run alone, which leaves no trace."""
    with run.unchanged():
        loss, gradients = run.gradients(batch, step, advance=False)
        return loss, gradients, buffers_of(run)


def buffers_of(run: ModuleRun) -> dict[str, Tensor]:
    """The buffers of a run's module as they are now."""
    return {name: buffer.clone() for name, buffer in run.module.named_buffers()}
