"""The mode in which a model's forward pass can be batched over trials."""

from collections.abc import Callable
from typing import Any

import torch
from torch import _VF, Tensor
from torch.nn import functional

from gradstudy.models.user_module.draws.all_true import ARE_ALL_TRUE, all_true
from gradstudy.models.user_module.draws.keyed_mode import KEYED, KeyedMode, split_arguments
from gradstudy.models.user_module.operations.answers import ANSWERS
from gradstudy.models.user_module.operations.selected import is_selected, of_selected
from gradstudy.models.user_module.random_state import DRAWS, RandomNumbersError
from gradstudy.models.user_module.recurrent.calls import ForwardPass
from gradstudy.models.user_module.recurrent.layers import CELLS, KINDS, cell, layers
from gradstudy.models.user_module.recurrent.own_tensors import MAKERS, own_tensor
from gradstudy.models.user_module.recurrent.packed import (
    PackedRowsError,
    by_row,
    is_packed,
    lengths_of,
    marked,
    pack,
    unpack,
)
from gradstudy.models.user_module.state.history import DETACHING, detached

ANSWERED: frozenset[Callable[..., Any]] = frozenset(
    (
        *(*CELLS, *DETACHING, *ANSWERS, *MAKERS, *KEYED),
        *(_VF._pack_padded_sequence, _VF._pad_packed_sequence, ARE_ALL_TRUE, Tensor.scatter_, functional.linear),
    )
)
"""Everything that is not left to torch: to know this at once is what most operations of a pass gain by."""


class BatchedLayers(KeyedMode):
    """Answers torch's recurrent layers in one forward pass, too, so that ``vmap`` can batch them."""

    def __init__(
        self, key: Tensor | None = None, *, drops: bool = True, rooms: dict[int, int] | None = None, pads: bool = False
    ) -> None:
        """Begin a forward pass.

        Args:
            key: of a trial, of which it draws what it drops, a 64-bit integer. Without, dropout is torch's own, which
                ``vmap`` refuses, and trials cannot write to tensors that the pass makes.
            drops: whether dropout is answered.
            pads: whether batches are padded to one shape, and the longest packed sequences differ in length.
            rooms: how long the tapes of the pass before were, which this one updates; makes tapes of the right length.
        """
        super().__init__(key if drops else None)
        self._trial = key
        self._packs = self._selects = False
        self._pads = pads
        self._pass = ForwardPass({} if rooms is None else rooms)

    def __exit__(self, *exception: object) -> None:
        """End the forward pass."""
        self._pass.remember_rooms()
        super().__exit__(*exception)  # type: ignore[no-untyped-call]

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Answer one operation, or leave it to torch."""
        try:
            if func in ANSWERED or self._packs or self._selects:
                return self._answer(func, types, args, kwargs)
            return func(*args, **(kwargs or {}))
        except RuntimeError as error:
            if "randomness" not in str(error):  # torch names the flags of vmap
                raise
            name = getattr(func, "__name__", func)
            raise RandomNumbersError(DRAWS.replace("numbers", f"numbers by {name}", 1)) from error

    def _answer(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...], kwargs: dict[str, Any] | None
    ) -> Any:
        if func in CELLS:
            return cell(CELLS[func], self._pass, args)
        if func is _VF._pack_padded_sequence:
            self._packs = True
            return pack(*args, whole=self._pads)
        if func is _VF._pad_packed_sequence:
            return unpack(*args)
        if self._packs and func not in KINDS and is_packed((*args, *(kwargs or {}).values())):
            return by_row(func, args, kwargs or {})
        if func is ARE_ALL_TRUE:
            return all_true(*args)
        if func in DETACHING:
            return detached(func, args[0])
        if func is Tensor.scatter_ and len(args) == 4:  # of which vmap knows the form that is not in place
            return args[0].copy_(torch.scatter(*args))
        if self._selects and is_selected((*args, *(kwargs or {}).values())):
            return of_selected(func, args, kwargs or {})
        if func in ANSWERS:
            answer = ANSWERS[func](*args, **(kwargs or {}))
            self._selects = self._selects or is_selected((answer,))
            return answer
        if func is functional.linear and args[0].ndim > 2:  # one product for each trial, not one for each of its rows
            x, *rest = args
            return functional.linear(x.flatten(0, -2), *rest, **(kwargs or {})).unflatten(0, x.shape[:-1])
        if func in MAKERS and self._trial is not None:
            return own_tensor(self._trial, func(*args, **(kwargs or {})))
        return super().__torch_function__(func, types, args, kwargs)

    def left_to_torch(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """See KeyedMode."""
        raise RandomNumbersError(f"it gives {func.__name__} a generator, an output or a seed of its own")

    def recurrent(self, func: Callable[..., Any], args: tuple[Any, ...]) -> tuple[Tensor, ...]:
        """See KeyedMode."""
        before, (_, _, count, *_) = split_arguments(args)
        draw = self.next_draws(count - 1)
        if len(before) == 2:
            return layers(KINDS[func], self._pass, self.key, draw, None, args)
        rows, sizes, states = before
        if not is_packed((sizes,)):
            raise PackedRowsError("its sequences are packed before they reach the model")
        lengths = lengths_of(sizes).to(rows.device)
        padded = (rows.unflatten(0, (len(sizes), -1)), states, *args[3:], False)
        output, *last = layers(KINDS[func], self._pass, self.key, draw, lengths, padded)
        return marked(output.flatten(0, 1), lengths), *last
