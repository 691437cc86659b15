"""Several runs of the user's own model as one batched program, by ``torch.func``: tried before it is relied on."""

from collections.abc import Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from gradstudy.models.user_module.checks.comparison import Comparison, in_float64_differs
from gradstudy.models.user_module.checks.reasons import in_words
from gradstudy.models.user_module.checks.seen_values import changed_value, seen_values
from gradstudy.models.user_module.checks.unregistered import unregistered
from gradstudy.models.user_module.company import Company
from gradstudy.models.user_module.importing import in_a_line
from gradstudy.models.user_module.loading import UserModule
from gradstudy.models.user_module.padding import AS_THEY_ARE, Padding, signature
from gradstudy.models.user_module.random_state import RandomNumbersError
from gradstudy.models.user_module.recurrent.packed import LONGEST_DIFFER
from gradstudy.models.user_module.returned.optimizer import TriedOptimizer, try_optimizer
from gradstudy.models.user_module.returned.problem import ReturnedError
from gradstudy.models.user_module.run import ModuleRun

CHECKED_COINS = 5
"""Steps that are compared of a model that draws what it does: with teacher forcing of one in two, both are seen."""


MOST_SHAPES = 4
"""Of batches, for each of which there is a program at every step; one of few trials is slower than those alone."""


@dataclass(frozen=True)
class Batching:
    """Whether the user's model can be trained many at a time.

    Attributes:
        batched: whether it can.
        reason: why not, in one line.
        shares_coins: whether trials share draws that decide what the model does, see ``Coins``.
        counts_steps: whether a number that the model carries changes at every step, so that trials at the same step
            only go through one program.
        trial_bytes: memory that one trial takes.
        model: its class and size, in words.
        optimizer: that the user's function returned; None where it returned none.
        failure: what the user's function raised instead of returning anything, in a line.
        padding: how batches of different lengths are padded to one; None where they are not.
    """

    batched: bool
    reason: str | None = None
    shares_coins: bool = False
    counts_steps: bool = False
    trial_bytes: int = 0
    model: str = "a model whose first step failed"
    optimizer: TriedOptimizer | None = None
    failure: str | None = None
    padding: Padding | None = None


def try_batching(
    task: UserModule, cell: str, batch_size: int, device: torch.device, shared_draws: int | None = None
) -> Batching:
    """Train two models of the user's for two steps, alone and in a batch, and compare.

    Args:
        task: the user's function.
        cell: which it is given, where it takes one.
        batch_size: which it is given, where it takes one.
        device: where to train.
        shared_draws: the seed of the draws that trials share, see ``Company``; None where they share none.

    Raises:
        ReturnedError: the function returned what cannot be studied.
    """
    saved: dict[int, int] = {}

    def remember(tensor: Tensor) -> Tensor:
        saved[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    company, runs = Company(shared_draws), list[ModuleRun]()
    try:
        runs = [ModuleRun(task, seed, cell, batch_size, device, company) for seed in (0, 1)]
        seen = seen_values(runs[0].module, runs[0].loss_function)
        with saved_tensors_hooks(remember, lambda tensor: tensor):
            Comparison(runs[:1], [0])
        single = Comparison(runs, [0, 1])
    except (Exception, SystemExit) as error:  # its trials will say more
        if isinstance(error, ReturnedError):
            raise
        if isinstance(error, RandomNumbersError) and shared_draws is not None:
            own = try_batching(task, cell, batch_size, device)
            return replace(own, batched=False, reason=str(error), counts_steps=False, padding=None)
        said = f"{type(error).__name__}: {in_words(error)}"
        failure = None if runs else in_a_line(error)
        return Batching(batched=False, reason=said, optimizer=_own_optimizer(runs), failure=failure)
    size = sum(parameter.numel() for parameter in runs[0].parameters.values())
    weight = sum(parameter.nbytes for parameter in runs[0].parameters.values())
    model = f"{type(runs[0].module).__name__} of {size:,} parameters"
    trial_bytes = sum(saved.values()) + 6 * weight  # module, row, gradient, two of Adam, one to work with
    reason = "its function has one_at_a_time = True" if getattr(task.function, "one_at_a_time", False) else None
    reason = reason or _not_tried(runs[0], seen) or _difference(runs, single)
    runs[0].try_metrics()
    return Batching(
        batched=reason is None,
        reason=reason,
        shares_coins=reason is None and company.has_coins,
        counts_steps=reason is None and single.counts,
        trial_bytes=trial_bytes,
        model=model,
        optimizer=_own_optimizer(runs),
        padding=company.padding if reason is None else None,
    )


def _not_tried(run: ModuleRun, seen: dict[str, Hashable]) -> str | None:
    """What keeps a run from a batch that comparing might not show; ``seen`` is what its code saw before any step."""
    changed = changed_value(seen, seen_values(run.module, run.loss_function))
    if changed is not None:
        return f"its {changed} changes from step to step, and in one program would once for all trials"
    if any(parameter._post_accumulate_grad_hooks for parameter in run.parameters.values()):
        return "a hook waits for the gradient of a parameter (register_post_accumulate_grad_hook)"
    return None


def _difference(runs: Sequence[ModuleRun], single: Comparison) -> str | None:
    """How first steps differ in a batch, padded if need be; None where they do not."""
    company = runs[0].company
    assert company is not None
    shapes = _shapes(runs)
    refused = _try_padding(runs, carries=single.carries)
    if refused and shapes > MOST_SHAPES:
        reason: str | None = f"its batches have {shapes} shapes, and padded to one {refused}"
    else:
        reason = single.disagreement()
        if reason == LONGEST_DIFFER:
            reason = _try(AS_THEY_ARE, runs, range(CHECKED_COINS))
    if reason is None and company.has_coins:
        reason = Comparison(runs, range(CHECKED_COINS)).disagreement()
    if reason is not None:
        return unregistered(runs[0].module) or reason
    with suppress(Exception):  # such as tensors of float32 that the loss has beside the module
        return in_float64_differs(runs, single.steps if single.carries else single.steps[:1])
    return None


def _shapes(runs: Sequence[ModuleRun]) -> int:
    """Of how many shapes the first batches are."""
    return len({signature(batch) for run in runs for batch in run.first_batches})


def _try_padding(runs: Sequence[ModuleRun], *, carries: bool) -> str | None:
    """Pad batches of different lengths to one, if the model is seen not to mind; else why not."""
    padding = Padding.of([batch for run in runs for batch in run.first_batches])
    if padding is None:
        return "they would hold something else"
    if carries:
        return "its state would be carried on from padding"
    return _try(padding, runs, sorted({*(padding.shortest(run.first_batches) for run in runs), *range(CHECKED_COINS)}))


def _try(padding: Padding, runs: Sequence[ModuleRun], steps: Sequence[int]) -> str | None:
    """Pad from now on, if these steps are the same; else how they differ."""
    company = runs[0].company
    assert company is not None
    company.padding = padding
    try:
        reason = Comparison(runs, steps).disagreement()
    except (Exception, SystemExit) as error:
        reason = in_words(error)
    if reason is not None:
        company.padding = None
    return reason


def _own_optimizer(runs: list[ModuleRun]) -> TriedOptimizer | None:
    """That of the first run, if the user's function returned one."""
    return try_optimizer(runs[0].make_optimizer) if runs and runs[0].has_optimizer else None
