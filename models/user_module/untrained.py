"""The losses of untrained models that begin together, on each of their first batches, as batched programs."""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from contextlib import ExitStack

import torch
from torch import Tensor

from gradstudy.models.array import INITIAL_BATCHES
from gradstudy.models.user_module.checks.disagreement import TOLERANCE
from gradstudy.models.user_module.checks.in_range import InRange
from gradstudy.models.user_module.program import batched_losses
from gradstudy.models.user_module.run import ModuleRun
from gradstudy.models.user_module.state.stacked_state import state_signature


def measure_untrained(skeleton: ModuleRun, runs: Sequence[ModuleRun]) -> None:
    """Let runs know the losses that ``ModuleRun.initial_losses`` would measure one after the other.

    Of each batch one run in turn is compared with what it gives alone. Where anything is in doubt (an exception, a loss
    that is not finite, one that differs, batches that are padded) they know nothing, and each measures its own.
    """
    if skeleton.padding is not None:
        return
    losses = torch.empty(INITIAL_BATCHES, len(runs), dtype=torch.float64)
    parameters = {name: torch.stack([run.parameters[name].detach() for run in runs]) for name in skeleton.parameters}
    try:
        with ExitStack() as stack, torch.no_grad():
            for run in runs:
                stack.enter_context(run.unchanged())
            for step in range(INITIAL_BATCHES):
                losses[step] = _of_step(skeleton, runs, parameters, step)
    except (Exception, SystemExit):
        return
    if losses.isfinite().all():
        for run, own in zip(runs, losses.T.tolist(), strict=True):
            run.known_losses = own


def _of_step(skeleton: ModuleRun, runs: Sequence[ModuleRun], parameters: dict[str, Tensor], step: int) -> Tensor:
    """Losses of the batches of one step, [K]; raises ValueError where one differs from the same alone."""
    company = skeleton.company
    assert company is not None
    losses = torch.empty(len(runs), dtype=torch.float64)
    groups: dict[Hashable, list[int]] = defaultdict(list)
    for place, run in enumerate(runs):
        carried = state_signature(run.carried, sorted(company.carried))
        groups[company.signature(run.first_batches[step]), carried].append(place)
    for group in groups.values():
        of_group = [runs[place] for place in group]
        batches = [run.first_batches[step] for run in of_group]
        looked_at = step % len(group)
        alone = of_group[looked_at].next_initial_loss(step)
        with InRange():
            own = {name: tensor[group] for name, tensor in parameters.items()}
            together = batched_losses(skeleton, of_group, own, batches, [step] * len(group))
        if not torch.allclose(alone.double(), together[looked_at].double(), rtol=TOLERANCE, atol=0):
            raise ValueError(step)
        losses[group] = together.double()
    return losses
