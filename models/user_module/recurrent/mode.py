"""The mode in which a model's forward pass can be batched over trials."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from gradstudy.models.user_module.keyed_mode import KeyedMode, split_arguments
from gradstudy.models.user_module.recurrent.calls import ForwardPass
from gradstudy.models.user_module.recurrent.layers import CELLS, KINDS, cell, layers


class BatchedLayers(KeyedMode):
    """Answers torch's recurrent layers in one forward pass, too, so that ``vmap`` can batch them."""

    def __init__(self, key: Tensor | None = None, rooms: dict[int, int] | None = None) -> None:
        """Begin a forward pass.

        Args:
            key: of what is dropped, a 64-bit integer; without, dropout is torch's own, which ``vmap`` refuses.
            rooms: how long the tapes of the pass before were, which this one updates; makes tapes of the right length.
        """
        super().__init__(key)
        self._pass = ForwardPass({} if rooms is None else rooms)

    def __exit__(self, *exception: Any) -> None:
        """End the forward pass."""
        self._pass.remember_rooms()
        super().__exit__(*exception)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Answer one operation, or leave it to torch."""
        if func in CELLS:
            return cell(CELLS[func], self._pass, args)
        return super().__torch_function__(func, types, args, kwargs)

    def recurrent(self, func: Callable[..., Any], args: tuple[Any, ...]) -> tuple[Tensor, ...]:
        """See KeyedMode."""
        _, (_, _, count, *_) = split_arguments(args)
        return layers(KINDS[func], self._pass, self.key, self.next_draws(count - 1), None, args)
