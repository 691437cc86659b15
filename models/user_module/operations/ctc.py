"""Connectionist temporal classification over trials: their sequences as one batch."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional

from gradstudy.models.user_module.operations.errors import UnbatchedError


class _EachLoss(Function):
    """The loss of each sequence of one trial, [B]."""

    @staticmethod
    def forward(
        log_probs: Tensor, targets: Tensor, lengths: Tensor, of_targets: Tensor, blank: int, zero_infinity: bool
    ) -> Tensor:
        return functional.ctc_loss(log_probs, targets, lengths, of_targets, blank, "none", zero_infinity)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> None:
        raise NotImplementedError("the CTC loss in a batch has no second derivative")

    @staticmethod
    def vmap(info: Any, in_dims: Any, *args: Any) -> tuple[Tensor, int]:
        trials = info.batch_size
        *tensors, blank, zero_infinity = args
        log_probs, *others = (
            one.expand(trials, *one.shape) if dim is None else one.movedim(dim, 0)
            for one, dim in zip(tensors, in_dims[:4], strict=True)
        )
        together = log_probs.movedim(0, 1).flatten(1, 2)
        flat = (one.flatten(0, 1) for one in others)
        settings: dict[str, Any] = {"blank": blank, "reduction": "none", "zero_infinity": zero_infinity}
        each = functional.ctc_loss(together, *flat, **settings)
        return each.view(trials, -1), 0


def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """``functional.ctc_loss`` of log-probabilities [T, B, C] and padded targets [B, S]."""
    if log_probs.ndim != 3 or targets.ndim != 2:
        raise UnbatchedError("its CTC loss is of one sequence, or its targets are joined and not padded to [B, S]")
    lengths, of_targets = (torch.as_tensor(one, dtype=torch.int64) for one in (input_lengths, target_lengths))
    each: Tensor = _EachLoss.apply(  # type: ignore[no-untyped-call]
        log_probs, targets, lengths, of_targets, blank, zero_infinity
    )
    if reduction == "mean":
        return (each / of_targets.clamp(min=1)).mean()
    return each.sum() if reduction == "sum" else each
