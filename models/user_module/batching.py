"""Several runs of the user's own model as one batched program, by ``torch.func``: tried before it is relied on."""

import warnings
from collections.abc import Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.func import functional_call, vmap
from torch.utils._pytree import tree_flatten, tree_unflatten

from gradstudy.models.user_module.checks.disagreement import disagreement
from gradstudy.models.user_module.checks.one_step import Step, first_step, in_float64_differs
from gradstudy.models.user_module.checks.reasons import in_words
from gradstudy.models.user_module.checks.seen_values import PLAIN, changed_value, seen_values
from gradstudy.models.user_module.checks.unregistered import unregistered
from gradstudy.models.user_module.loading import UserModule
from gradstudy.models.user_module.operations.errors import UnbatchedError
from gradstudy.models.user_module.random_state import RandomNumbersError
from gradstudy.models.user_module.recurrent.mode import BatchedLayers
from gradstudy.models.user_module.run import Company, ModuleRun

CHECKED, CHECKED_COINS = 2, 5
"""Steps that are compared, and of a model that draws what it does: with teacher forcing of one in two, both come."""

SLOW = "There is a performance drop"
"""How torch's warning begins that an operation is looped over, not batched."""


@dataclass(frozen=True)
class Batching:
    """Whether the user's model can be trained many at a time.

    Attributes:
        batched: whether it can.
        reason: why not, in one line.
        shares_coins: whether trials share draws that decide what the model does, see ``Coins``.
        trial_bytes: memory that one trial takes.
        model: its class and size, in words.
        has_optimizer: whether the user's function returned one.
    """

    batched: bool
    reason: str | None = None
    shares_coins: bool = False
    trial_bytes: int = 0
    model: str = "a model whose first step failed"
    has_optimizer: bool = False


class _Loss(nn.Module):
    """The user's loss as the forward pass of a module, whose parameters ``functional_call`` replaces."""

    def __init__(self, run: ModuleRun) -> None:
        super().__init__()
        self.module = run.module
        self._run = run

    def forward(self, batch: Any) -> Tensor:
        """See ModuleRun.loss."""
        return self._run.loss(self.module, batch)


def signature(batch: Any) -> Hashable:
    """What batches must have in common to be stacked: their structure, type and shape of each tensor, all else."""
    leaves, structure = tree_flatten(batch)
    return str(structure), tuple(map(_kind, leaves))


def _kind(leaf: Any) -> Hashable:
    """What equals that of another leaf if one program can have both: of what is no tensor, the value itself."""
    if isinstance(leaf, Tensor):
        return leaf.dtype, leaf.shape
    if isinstance(leaf, np.ndarray) and leaf.dtype != object:
        return leaf.dtype.str, leaf.shape, leaf.tobytes()
    return (type(leaf), repr(leaf)) if isinstance(leaf, PLAIN) or leaf is None else id(leaf)


def batched_gradients(
    skeleton: ModuleRun,
    runs: Sequence[ModuleRun],
    parameters: dict[str, Tensor],
    batches: Sequence[Any],
    steps: Sequence[int],
) -> tuple[Tensor, list[Tensor | None]]:
    """Losses [K] and the gradients of ``parameters``, each [K, *shape]; buffers of the runs are updated.

    Args:
        skeleton: whose module and loss compute.
        runs: whose buffers and other constants are used.
        parameters: each [K, *shape].
        batches: one for each run, of one signature.
        steps: that each run takes.

    Raises:
        RandomNumbersError: the model draws from Python's or numpy's generator, and may not, or the steps differ.
        RuntimeError: an operation cannot be batched, draws random numbers, or depends on the values of tensors; buffers
            are as before.
    """
    constants = [_constants(run) for run in runs]
    stacked = {name: torch.stack([one[name] for one in constants]) for name in constants[0]}
    flat = [tree_flatten(batch) for batch in batches]
    structure = flat[0][1]
    positions = [i for i, leaf in enumerate(flat[0][0]) if isinstance(leaf, Tensor)]
    leaves = [torch.stack([of_one[i] for of_one, _ in flat]) for i in positions]
    objective = _Loss(skeleton)
    company = skeleton.company
    assert company is not None
    keys = torch.tensor([run.key(step) for run, step in zip(runs, steps, strict=True)], device=skeleton.device)

    def loss_of_one(trained: dict[str, Tensor], other: dict[str, Tensor], given: list[Tensor], key: Tensor) -> Tensor:
        filled = list(flat[0][0])
        for i, leaf in zip(positions, given, strict=True):
            filled[i] = leaf
        state = {f"module.{name}": tensor for name, tensor in {**trained, **other}.items()}
        with BatchedLayers(key, drops=company.coins is not None, rooms=skeleton.rooms):
            loss: Tensor = functional_call(objective, state, (tree_unflatten(filled, structure),))
        return loss

    views = {name: tensor.detach().requires_grad_() for name, tensor in parameters.items()}
    versions = [view._version for view in views.values()]
    in_dims = (0, 0 if stacked else None, 0 if leaves else None, 0)
    with company.draws(steps):
        losses = vmap(loss_of_one, in_dims=in_dims, randomness="error")(views, stacked, leaves, keys)
    if [view._version for view in views.values()] != versions:
        raise UnbatchedError("it changes its parameters in the forward pass")
    found = torch.autograd.grad(losses.sum(), list(views.values()), allow_unused=True)
    gradients = [_hooked(runs, name, gradient) for name, gradient in zip(views, found, strict=True)]
    buffers = {name for name, _ in skeleton.module.named_buffers()}
    for number, one in enumerate(constants):
        for name in buffers:
            one[name].copy_(stacked[name][number])
    return losses.detach(), gradients


def _hooked(runs: Sequence[ModuleRun], name: str, gradient: Tensor | None) -> Tensor | None:
    """The gradient of a parameter of each run, [K, *shape], after the hooks that the user put on the parameter."""
    hooks = [list((run.parameters[name]._backward_hooks or {}).values()) for run in runs]
    if gradient is None or not any(hooks):
        return gradient
    changed = gradient.clone()
    for number, of_run in enumerate(hooks):
        for hook in of_run:
            if (given := hook(changed[number])) is not None:
                changed[number] = given
    return changed


def agreement(skeleton: ModuleRun, run: ModuleRun) -> str | None:
    """Why a run's first step cannot be trusted to a batched program; None where both give the same."""
    batch = run.first_batches[0]
    with run.unchanged():
        single = run.gradients(batch, 0, advance=False)
    parameters = {name: parameter.detach().unsqueeze(0) for name, parameter in run.parameters.items()}
    try:
        with run.unchanged():
            losses, gradients = strictly_batched(skeleton, [run], parameters, [batch], [0])
    except Exception as error:
        return in_words(error)
    return disagreement(single, (losses[0], [None if g is None else g[0] for g in gradients]))


def try_batching(
    task: UserModule, cell: str, batch_size: int, device: torch.device, shared_draws: int | None = None
) -> Batching:
    """Train two models of the user's for a step, alone and in a batch, and compare.

    Args:
        task: the user's function.
        cell: which it is given, where it takes one.
        batch_size: which it is given, where it takes one.
        device: where to train.
        shared_draws: the seed of the draws that trials share, see ``Company``; None where they share none.
    """
    saved: dict[int, int] = {}

    def remember(tensor: Tensor) -> Tensor:
        saved[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    company = Company(shared_draws)
    try:
        runs = [ModuleRun(task, seed, cell, batch_size, device, company) for seed in (0, 1)]
        seen = seen_values(runs[0].module, runs[0].loss_function)
        with saved_tensors_hooks(remember, lambda tensor: tensor):
            for run in runs:
                first_step(run, run.first_batches[0], 0)
        carried = _carried(runs[0], runs[0].first_batches[0])
    except RandomNumbersError as error:
        return replace(try_batching(task, cell, batch_size, device), batched=False, reason=str(error))
    except (Exception, SystemExit) as error:  # its trials will say more
        return Batching(batched=False, reason=f"{type(error).__name__}: {in_words(error)}")
    size = sum(parameter.numel() for parameter in runs[0].parameters.values())
    weight = sum(parameter.nbytes for parameter in runs[0].parameters.values())
    model = f"{type(runs[0].module).__name__} of {size:,} parameters"
    trial_bytes = sum(saved.values()) // len(runs) + 6 * weight  # module, row, gradient, two of Adam, one to work with
    changed = changed_value(seen, seen_values(runs[0].module, runs[0].loss_function))
    reason = None
    if getattr(task.function, "one_at_a_time", False):
        reason = "its function has one_at_a_time = True"
    elif changed is not None:
        reason = f"its {changed} changes from step to step, and in one program would once for all trials"
    elif carried is not None:
        reason = f"its attribute {carried} is carried from step to step"
    elif any(parameter._post_accumulate_grad_hooks for parameter in runs[0].parameters.values()):
        reason = "a hook waits for the gradient of a parameter (register_post_accumulate_grad_hook)"
    if reason is None and (reason := _of_first_steps(runs, 0)) is not None:
        reason = unregistered(runs[0].module) or reason
    if reason is None:
        with suppress(Exception):  # such as tensors of float32 that the loss has beside the module
            reason = in_float64_differs(
                runs, (0, 0), [run.first_batches[0] for run in runs], strictly_batched, strict=True
            )
    if reason is None:
        more = range(1, CHECKED_COINS if company.has_coins else CHECKED)
        reason = next(filter(None, (_of_first_steps(runs, step) for step in more)), None)
    return Batching(
        batched=reason is None,
        reason=reason,
        shares_coins=reason is None and company.has_coins,
        trial_bytes=trial_bytes,
        model=model,
        has_optimizer=runs[0].has_optimizer,
    )


def _of_first_steps(runs: Sequence[ModuleRun], step: int) -> str | None:
    """How one of the first steps of untrained runs differs in a batch, or why it cannot be batched."""
    batches = [run.first_batches[step] for run in runs]
    if len({signature(batch) for batch in batches}) > 1:
        return "its batches differ in shape, or hold something else than tensors"
    alone = Step(runs, [step] * len(runs), batches)
    try:
        return alone.disagreement(strictly_batched)
    except Exception as error:
        return in_words(error)


def _carried(run: ModuleRun, batch: Any) -> str | None:
    """The attribute whose tensors a second step takes up from the first; None where there is none."""
    with run.unchanged():
        loss, _ = run.gradients(batch, 0, advance=False)
        attribute = run.carried.changed()
        if attribute is None or torch.equal(run.gradients(batch, 0, advance=False)[0], loss):
            return None
        return attribute


def strictly_batched(
    skeleton: ModuleRun,
    runs: Sequence[ModuleRun],
    parameters: dict[str, Tensor],
    batches: Sequence[Any],
    steps: Sequence[int],
) -> tuple[Tensor, list[Tensor | None]]:
    """As ``batched_gradients``, where an operation that torch would loop over is an error: it gains nothing."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=SLOW)
        return batched_gradients(skeleton, runs, parameters, batches, steps)


def _constants(run: ModuleRun) -> dict[str, Tensor]:
    """What a module holds besides the parameters that are trained."""
    frozen = {name: p.detach() for name, p in run.module.named_parameters() if not p.requires_grad}
    return frozen | dict(run.module.named_buffers())
