"""Rows of embeddings that do not exist, which ``vmap`` takes from the weights of the next trial."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch._C import _functorch  # pyright: ignore[reportAttributeAccessIssue] (the stubs lack it)
from torch.nn import functional
from torch.overrides import TorchFunctionMode

EMBEDDINGS = (torch.embedding, functional.embedding, functional.embedding_bag)


class InRange(TorchFunctionMode):
    """In which an embedding of one trial in a batch fails where that of the trial alone does."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Look at the rows that are asked for.

        Raises:
            IndexError: there is none of such a number.
        """
        if func in EMBEDDINGS:
            rows, of_all = sorted(args[:2], key=Tensor.is_floating_point)
            numbers = _of_all_trials(rows)
            if numbers.numel() and not 0 <= int(numbers.min()) <= int(numbers.max()) < of_all.shape[0]:
                raise IndexError("index out of range in self")
        return func(*args, **(kwargs or {}))


def _of_all_trials(tensor: Tensor) -> Tensor:
    """The numbers of a tensor that may be that of one trial in a ``vmap``."""
    while _functorch.is_batchedtensor(tensor):
        tensor = _functorch.get_unwrapped(tensor)
    return tensor
