"""Several runs of the user's own model as one batched program, by ``torch.func``."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.utils._pytree import tree_flatten, tree_unflatten

from gradstudy.models.user_module.operations.errors import UnbatchedError
from gradstudy.models.user_module.recurrent.mode import BatchedLayers
from gradstudy.models.user_module.run import ModuleRun
from gradstudy.models.user_module.state.stacked_state import NewlyCarriedError, StackedState, StateError

SLOW = "There is a performance drop"
"""How torch's warning begins that an operation is looped over, not batched."""


class _Loss(nn.Module):
    """The user's loss as the forward pass of a module, whose parameters ``functional_call`` replaces."""

    def __init__(self, run: ModuleRun) -> None:
        super().__init__()
        self.module = run.module
        self._run = run

    def forward(self, batch: Any) -> Tensor:
        """See ModuleRun.loss."""
        return self._run.loss(self.module, batch)


def batched_gradients(
    skeleton: ModuleRun,
    runs: Sequence[ModuleRun],
    parameters: dict[str, Tensor],
    batches: Sequence[Any],
    steps: Sequence[int],
) -> tuple[Tensor, list[Tensor | None]]:
    """Losses [K] and the gradients of ``parameters``, each [K, *shape], after the hooks of parameters.

    Buffers of the runs and what they carry from step to step are updated, but of a run whose loss or gradient is not
    finite: that can be a fault of the batch, and its step is to be taken alone.

    Args:
        skeleton: whose module and loss compute.
        runs: whose buffers and other constants are used.
        parameters: each [K, *shape].
        batches: one for each run, of one signature.
        steps: that each run takes.

    Raises:
        NotDetachedError: the loss looks back across what runs carry.
        StateError: runs carry what cannot go through one program.
        RandomNumbersError: the model draws from Python's or numpy's generator, and may not, or the steps differ.
        UnbatchedError: it changes its parameters in the forward pass.
        RuntimeError: an operation cannot be batched, draws random numbers, or depends on the values of tensors; buffers
            are as before.
    """
    trained = {name: tensor.detach().requires_grad_() for name, tensor in parameters.items()}

    def with_gradients(losses: Tensor) -> list[Tensor | None]:
        found = torch.autograd.grad(losses.sum(), list(trained.values()), allow_unused=True)
        return [_hooked(runs, name, gradient) for name, gradient in zip(trained, found, strict=True)]

    return _carried_on(skeleton, runs, trained, batches, steps, with_gradients)


@torch.no_grad()
def batched_losses(
    skeleton: ModuleRun,
    runs: Sequence[ModuleRun],
    parameters: dict[str, Tensor],
    batches: Sequence[Any],
    steps: Sequence[int],
) -> Tensor:
    """The losses of ``batched_gradients`` alone, [K], with all else that a step leaves; raises what that raises."""
    return _carried_on(skeleton, runs, parameters, batches, steps, lambda _: [])[0]


def _carried_on(
    skeleton: ModuleRun,
    runs: Sequence[ModuleRun],
    parameters: dict[str, Tensor],
    batches: Sequence[Any],
    steps: Sequence[int],
    differentiate: Callable[[Tensor], list[Tensor | None]],
) -> tuple[Tensor, list[Tensor | None]]:
    """See ``batched_gradients``; gradients are what ``differentiate`` makes of losses [K]."""
    company, carried = skeleton.company, [run.carried for run in runs]
    assert company is not None
    while True:
        states = StackedState(carried, sorted(company.carried), list(parameters.values()))
        try:
            with skeleton.carried.lent():
                losses, gradients, left, finite = _step(
                    skeleton, runs, parameters, batches, steps, states, differentiate
                )
        except NewlyCarriedError as error:
            company.carried |= error.attributes
        else:
            states.hand_back(carried, left, finite)
            return losses, gradients


def _step(
    skeleton: ModuleRun,
    runs: Sequence[ModuleRun],
    parameters: dict[str, Tensor],
    batches: Sequence[Any],
    steps: Sequence[int],
    states: StackedState,
    differentiate: Callable[[Tensor], list[Tensor | None]],
) -> tuple[Tensor, list[Tensor | None], list[Tensor], Sequence[bool]]:
    """See ``batched_gradients``, and what the step leaves to be carried on, and which runs are finite.

    Raises:
        NewlyCarriedError: the step changes attributes that were not known to be carried.
    """
    has_constants = bool(_constants(skeleton))  # all runs are made by one function: looking at each takes a millisecond
    constants: list[dict[str, Tensor]] = [_constants(run) if has_constants else {} for run in runs]
    stacked = {name: torch.stack([one[name] for one in constants]) for name in constants[0]}
    flat = [tree_flatten(batch) for batch in batches]
    structure = flat[0][1]
    positions = [i for i, leaf in enumerate(flat[0][0]) if isinstance(leaf, Tensor)]
    leaves = [torch.stack([of_one[i] for of_one, _ in flat]) for i in positions]
    objective = _Loss(skeleton)
    company = skeleton.company
    assert company is not None
    keys = torch.tensor([run.key(step) for run, step in zip(runs, steps, strict=True)], device=skeleton.device)

    def of_one(
        trained: dict[str, Tensor], other: dict[str, Tensor], given: list[Tensor], key: Tensor, state: list[Tensor]
    ) -> tuple[Tensor, dict[str, Tensor], list[Tensor]]:
        filled = list(flat[0][0])
        for i, leaf in zip(positions, given, strict=True):
            filled[i] = leaf
        states.give(skeleton.carried, state)
        tensors = {f"module.{name}": tensor for name, tensor in {**trained, **other}.items()}
        with BatchedLayers(
            key, drops=company.coins is not None, rooms=skeleton.rooms, pads=company.padding is not None
        ):
            loss: Tensor = functional_call(objective, tensors, (tree_unflatten(filled, structure),))
        # Where a module was assigned another tensor as its buffer, torch has put that in the place of the one given.
        assigned = {name: left for name in buffers if (left := tensors[f"module.{name}"]) is not other[name]}
        return loss, assigned, states.take(skeleton.carried)

    buffers = {name for name, _ in skeleton.module.named_buffers()}
    in_dims = (0, 0 if stacked else None, 0 if leaves else None, 0, 0 if states.tensors else None)
    unchanging = [*parameters.values(), *(tensor for name, tensor in stacked.items() if name not in buffers)]
    versions = [tensor._version for tensor in unchanging]
    with company.draws(steps):
        losses, assigned, left = vmap(of_one, in_dims=in_dims, randomness="error")(
            parameters, stacked, leaves, keys, states.tensors
        )
    if [tensor._version for tensor in unchanging] != versions:
        raise UnbatchedError("it changes its parameters in the forward pass")
    gradients = differentiate(losses)
    _check_buffers(assigned, stacked)
    finite = are_finite(losses, gradients) if buffers or company.carried else [True] * len(runs)
    for number, one in enumerate(constants):
        for name in buffers if finite[number] else ():
            one[name].copy_(assigned.get(name, stacked[name])[number])
    return losses.detach(), gradients, left, finite


def are_finite(losses: Tensor, gradients: Sequence[Tensor | None]) -> list[bool]:
    """Of which of K runs losses [K] and gradients, each [K, *shape], are finite."""
    found = [losses.detach(), *(gradient for gradient in gradients if gradient is not None)]
    norms = torch._foreach_norm(found)  # pyright: ignore[reportPrivateImportUsage]
    if torch.stack(norms).isfinite().all():
        return [True] * len(losses)
    finite = torch.stack([each.isfinite().reshape(len(losses), -1).all(1) for each in found]).all(0)
    answer: list[bool] = finite.tolist()
    return answer


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


def _check_buffers(assigned: dict[str, Tensor], stacked: dict[str, Tensor]) -> None:
    """Raise StateError where buffers were assigned what cannot be copied to those that runs have."""
    for name, buffer in assigned.items():
        if buffer.requires_grad:
            raise StateError(f"its buffer {name} is not detached")
        if (buffer.shape, buffer.dtype) != (stacked[name].shape, stacked[name].dtype):
            raise StateError(f"its buffer {name} changes its shape from step to step")


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
