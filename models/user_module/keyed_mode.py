"""The mode in which a model draws its dropout by key, alone as in company."""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import _VF, Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils import checkpoint

from gradstudy.models.user_module.keyed_random import keyed_dropout
from gradstudy.models.user_module.random_state import RandomNumbersError

if TYPE_CHECKING:
    from types import FrameType

LAYERS = (_VF.lstm, _VF.gru, _VF.rnn_tanh, _VF.rnn_relu)
"""Torch's recurrent layers, all of which may drop between one another."""


class KeyedMode(TorchFunctionMode):
    """Answers dropout in one forward pass; all else is torch's own.

    Draws are numbered in the order in which the model makes them.
    """

    def __init__(self, key: Tensor | None) -> None:
        """Begin a forward pass with its key, a 64-bit integer; without, dropout is torch's own."""
        super().__init__()
        self.key, self._draws = key, 0

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Answer one operation, or leave it to torch."""
        if func is functional.dropout and self.key is not None:
            return self._dropout(*args, **(kwargs or {}))
        if func in LAYERS:
            return self.recurrent(func, args)
        return func(*args, **(kwargs or {}))

    def next_draws(self, count: int) -> int:
        """The number of the first of so many draws.

        Raises:
            RandomNumbersError: they will be made again, where the mode is not.
        """
        if count and _is_checkpointed():
            raise RandomNumbersError("it drops in a part that torch.utils.checkpoint computes twice")
        first = self._draws
        self._draws += count
        return first

    def recurrent(self, func: Callable[..., Any], args: tuple[Any, ...]) -> tuple[Tensor, ...]:
        """A call of recurrent layers: one layer after the other, for the sake of what is dropped between them."""
        before, (weights, has_biases, layers, rate, training, bidirectional, *more) = split_arguments(args)
        first = self.next_draws(layers - 1)
        if layers == 1 or rate == 0 or not training or self.key is None:
            made: tuple[Tensor, ...] = func(*args)
            return made
        *inputs, states = before
        directions = 2 if bidirectional else 1
        each = len(weights) // layers
        last = []
        for layer in range(layers):
            own = slice(layer * directions, (layer + 1) * directions)
            given = tuple(state[own] for state in states) if isinstance(states, tuple) else states[own]
            of_layer = weights[layer * each : (layer + 1) * each]
            output, *ended = func(*inputs, given, of_layer, has_biases, 1, 0.0, training, bidirectional, *more)
            last.append(ended)
            is_last = layer == layers - 1
            inputs[0] = output if is_last else self._between(output, inputs[1:] or more, rate, first + layer)
        return inputs[0], *(torch.cat(of_all) for of_all in zip(*last, strict=True))

    def _between(self, output: Tensor, form: list[Any], rate: float, draw: int) -> Tensor:
        """The output of a layer as the next one sees it, dropped by the mask of padded sequences, time first.

        Args:
            output: of the layer.
            form: of the output: whether it is batch first or, of packed sequences, their batch sizes.
            rate: of dropout.
            draw: the number of the mask.
        """
        assert self.key is not None
        if isinstance(form[0], Tensor):
            shape = (len(form[0]), int(form[0][0]), output.shape[1])
            mask = keyed_dropout(output.new_ones(shape), rate, self.key, draw)
            inside = torch.arange(shape[1]) < form[0].unsqueeze(1)
            return output * mask[inside.to(mask.device)]
        time_first = output.transpose(0, 1) if form[0] else output
        dropped = keyed_dropout(time_first, rate, self.key, draw)
        return dropped.transpose(0, 1) if form[0] else dropped

    def _dropout(self, x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
        if not training or p == 0:
            return x
        assert self.key is not None
        dropped = keyed_dropout(x, p, self.key, self.next_draws(1))
        return x.copy_(dropped) if inplace else dropped


def _is_checkpointed() -> bool:
    frame: FrameType | None = sys._getframe()
    while frame is not None and frame.f_code.co_filename != checkpoint.__file__:
        frame = frame.f_back
    return frame is not None


def split_arguments(args: tuple[Any, ...]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """The arguments of torch's recurrent layers up to the states, and from the weights on.

    They are (inputs, states) or, of packed sequences, (data, batch sizes, states).
    """
    states = 2 if isinstance(args[3], (list, tuple)) else 1
    return args[: states + 1], args[states + 1 :]
