"""Several runs of the user's own model as one batched program, by ``torch.func``: tried before it is relied on."""

import math
import warnings
from collections.abc import Hashable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.func import functional_call, vmap
from torch.utils._pytree import tree_flatten, tree_unflatten

from gradstudy.models.user_module.importing import in_a_line
from gradstudy.models.user_module.loading import UserModule
from gradstudy.models.user_module.random_state import DRAWS
from gradstudy.models.user_module.recurrent.mode import BatchedLayers
from gradstudy.models.user_module.returned.optimizer import TriedOptimizer, try_optimizer
from gradstudy.models.user_module.returned.problem import ReturnedError
from gradstudy.models.user_module.run import Company, ModuleRun

TOLERANCE = 1e-4
"""Relative difference of losses and of gradients up to which a batched run equals a single one, in float32."""

CHECKED_COINS = 5
"""Steps that are compared of a model that draws what it does: with teacher forcing of one in two, both are seen."""

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
        optimizer: that the user's function returned; None where it returned none.
        failure: what the user's code raised before anything could be tried, in a line.
    """

    batched: bool
    reason: str | None = None
    shares_coins: bool = False
    trial_bytes: int = 0
    model: str = "a model whose first step failed"
    optimizer: TriedOptimizer | None = None
    failure: str | None = None


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
    """What batches must have in common to be stacked: their structure, and type and shape of each tensor."""
    leaves, structure = tree_flatten(batch)
    kinds = tuple((leaf.dtype, leaf.shape) if isinstance(leaf, Tensor) else repr(leaf) for leaf in leaves)
    return str(structure), kinds


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
    in_dims = (0, 0 if stacked else None, 0 if leaves else None, 0)
    with company.draws(steps):
        losses = vmap(loss_of_one, in_dims=in_dims, randomness="error")(views, stacked, leaves, keys)
    gradients = torch.autograd.grad(losses.sum(), list(views.values()), allow_unused=True)
    buffers = {name for name, _ in skeleton.module.named_buffers()}
    for number, one in enumerate(constants):
        for name in buffers:
            one[name].copy_(stacked[name][number])
    return losses.detach(), list(gradients)


def disagreement(
    single: tuple[Tensor, Sequence[Tensor | None]], batched: tuple[Tensor, Sequence[Tensor | None]]
) -> str | None:
    """How one run's loss and gradients differ from those of the same run in a batch; None where they do not."""
    if not torch.allclose(single[0].double(), batched[0].double(), rtol=TOLERANCE, atol=0, equal_nan=True):
        return f"its loss is {float(batched[0]):.6g} in a batch and {float(single[0]):.6g} alone"
    norm = difference = 0.0
    for alone, in_company in zip(single[1], batched[1], strict=True):
        a, b = (0.0 if gradient is None else gradient.to_dense().double() for gradient in (alone, in_company))
        norm = math.hypot(norm, torch.as_tensor(a).norm().item())
        difference = math.hypot(difference, torch.as_tensor(a - b).norm().item())
    return f"its gradient differs by {difference / norm:.2g} of its norm" if difference > TOLERANCE * norm else None


def agreement(skeleton: ModuleRun, run: ModuleRun) -> str | None:
    """Why a run's first step cannot be trusted to a batched program; None where both give the same."""
    batch = run.first_batches[0]
    with run.unchanged():
        single = run.gradients(batch, 0, advance=False)
    parameters = {name: parameter.detach().unsqueeze(0) for name, parameter in run.parameters.items()}
    try:
        with run.unchanged():
            losses, gradients = _strictly_batched(skeleton, [run], parameters, [batch], [0])
    except Exception as error:
        return _first_line(error)
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

    Raises:
        ReturnedError: the function returned what cannot be studied.
    """
    saved: dict[int, int] = {}

    def remember(tensor: Tensor) -> Tensor:
        saved[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    company = Company(shared_draws)
    try:
        runs = [ModuleRun(task, seed, cell, batch_size, device, company) for seed in (0, 1)]
        attributes = _plain_attributes(runs[0])
        with saved_tensors_hooks(remember, lambda tensor: tensor):
            single = _Step(runs, 0)
        carried = _carried(runs[0], runs[0].first_batches[0])
    except (Exception, SystemExit) as error:  # its trials will say more
        if isinstance(error, ReturnedError):
            raise
        return Batching(batched=False, reason=(said := in_a_line(error)), failure=said)
    size = sum(parameter.numel() for parameter in runs[0].parameters.values())
    weight = sum(parameter.nbytes for parameter in runs[0].parameters.values())
    model = f"{type(runs[0].module).__name__} of {size:,} parameters"
    trial_bytes = sum(saved.values()) // len(runs) + 6 * weight  # module, row, gradient, two of Adam, one to work with
    changed = dict(_plain_attributes(runs[0]).items() - attributes.items())
    reason = None
    if changed:
        reason = f"its attribute {min(changed)} changes from step to step"
    elif carried is not None:
        reason = f"its attribute {carried} is carried from step to step"
    reason = reason or single.disagreement()
    if reason is None and company.has_coins:
        reason = next(filter(None, (_Step(runs, step).disagreement() for step in range(1, CHECKED_COINS))), None)
    runs[0].try_metrics()
    return Batching(
        batched=reason is None,
        reason=reason,
        shares_coins=reason is None and company.has_coins,
        trial_bytes=trial_bytes,
        model=model,
        optimizer=try_optimizer(runs[0].make_optimizer) if runs[0].has_optimizer else None,
    )


class _Step:
    """A step of several runs, each alone, which leaves no trace."""

    def __init__(self, runs: list[ModuleRun], step: int) -> None:
        self._runs, self._step = runs, step
        self._batches = [run.first_batches[step] for run in runs]
        self._alone = [_first_step(run, batch, step) for run, batch in zip(runs, self._batches, strict=True)]

    def disagreement(self) -> str | None:
        """How the same step in a batch differs; None where it does not."""
        runs, batches = self._runs, self._batches
        if signature(batches[0]) != signature(batches[1]):
            return "its batches differ in shape, or hold something else than tensors"
        parameters = {name: torch.stack([run.parameters[name].detach() for run in runs]) for name in runs[0].parameters}
        with ExitStack() as stack:
            for run in runs:
                stack.enter_context(run.unchanged())
            try:
                losses, gradients = _strictly_batched(runs[0], runs, parameters, batches, [self._step] * len(runs))
            except Exception as error:
                return _first_line(error)
            after = [{name: buffer.clone() for name, buffer in run.module.named_buffers()} for run in runs]
        for number, (loss, of_single, buffers) in enumerate(self._alone):
            of_batched = [None if gradient is None else gradient[number] for gradient in gradients]
            reason = disagreement((loss, of_single), (losses[number], of_batched))
            for name, buffer in after[number].items():
                expected = buffers[name].double()
                near = torch.allclose(buffer.double(), expected, rtol=TOLERANCE, atol=1e-6, equal_nan=True)
                reason = reason or (None if near else f"its buffer {name} differs")
            if reason:
                return reason
        return None


def _first_step(run: ModuleRun, batch: Any, step: int) -> tuple[Tensor, list[Tensor | None], dict[str, Tensor]]:
    """Loss, gradients and the buffers after a step of a run that is not trained, which leaves no trace."""
    with run.unchanged():
        loss, gradients = run.gradients(batch, step, advance=False)
        return loss, gradients, {name: buffer.clone() for name, buffer in run.module.named_buffers()}


def _carried(run: ModuleRun, batch: Any) -> str | None:
    """The attribute whose tensors a second step takes up from the first; None where there is none."""
    with run.unchanged():
        loss, _ = run.gradients(batch, 0, advance=False)
        attribute = run.carried.changed()
        if attribute is None or torch.equal(run.gradients(batch, 0, advance=False)[0], loss):
            return None
        return attribute


def _strictly_batched(
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


def _plain_attributes(run: ModuleRun) -> dict[str, Any]:
    """Numbers and words that a module holds beside its tensors."""
    return {
        f"{name}.{attribute}".lstrip("."): value
        for name, module in run.module.named_modules()
        for attribute, value in vars(module).items()
        if isinstance(value, (bool, int, float, str))
    }


def _first_line(error: BaseException) -> str:
    """What is wrong, in one line."""
    text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if "randomness" in text:  # torch names the flags of vmap
        return DRAWS
    return text.split(". ")[0].removesuffix(".")
