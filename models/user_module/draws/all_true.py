"""Whether something holds for all trials of a ``vmap``, which hides values."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

ARE_ALL_TRUE: Callable[[Tensor], Tensor] = vars(torch)["_is_all_true"]
"""By what torch's distributions check their arguments."""


class _AllTrue(Function):
    """A truth without an axis of trials."""

    @staticmethod
    def forward(values: Tensor) -> Tensor:
        return values.all()

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.mark_non_differentiable(output)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> None:
        return None

    @staticmethod
    def vmap(info: Any, in_dims: Any, *args: Any) -> tuple[Tensor, None]:
        if not args[0].all():
            raise RuntimeError("arguments of a distribution are wrong for some trial")
        return torch.tensor(True), None


def all_true(values: Tensor) -> Tensor:
    """Whether values are true for all trials; raises RuntimeError where that differs, or is false for all."""
    found: Tensor = _AllTrue.apply(values)  # type: ignore[no-untyped-call]
    return found
