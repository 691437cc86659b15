"""The mode in which a model draws its random numbers by key, alone as in company."""

from collections.abc import Callable
from typing import Any

import torch
from torch import _VF, Tensor
from torch.overrides import TorchFunctionMode

from gradstudy.models.user_module.draws.answers import ANSWERS
from gradstudy.models.user_module.draws.bodies import BODIES
from gradstudy.models.user_module.draws.keyed_random import keyed_dropout
from gradstudy.models.user_module.draws.numbers import Numbers

LAYERS = (_VF.lstm, _VF.gru, _VF.rnn_tanh, _VF.rnn_relu)
"""Torch's recurrent layers, all of which may drop between one another."""


KEYED: frozenset[Callable[..., Any]] = frozenset((*ANSWERS, *BODIES, *LAYERS))
"""What a mode may answer."""


class KeyedMode(TorchFunctionMode):
    """Answers what draws random numbers in one forward pass; all else is torch's own."""

    def __init__(self, key: Tensor | None) -> None:
        """Begin a forward pass with its key, a 64-bit integer; without, random numbers are torch's own."""
        super().__init__()
        self.key = key
        self._numbers = None if key is None else Numbers(key)
        self._seed = torch.initial_seed()

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Answer one operation, or leave it to torch."""
        if self._numbers is not None and func in ANSWERS:
            seeded = torch.initial_seed() != self._seed
            made = NotImplemented if seeded else ANSWERS[func](self._numbers, *args, **(kwargs or {}))
            return self.left_to_torch(func, args, kwargs or {}) if made is NotImplemented else made
        if self._numbers is not None and func in BODIES:
            with self:
                return BODIES[func](*args, **(kwargs or {}))
        if func in LAYERS:
            return self.recurrent(func, args)
        return func(*args, **(kwargs or {}))

    def left_to_torch(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Random numbers that the model has its own generator for, or has seeded torch's for."""
        return func(*args, **kwargs)

    def next_draws(self, count: int) -> int:
        """The number of the first of so many draws."""
        return 0 if self._numbers is None else self._numbers.next_draws(count)

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


def split_arguments(args: tuple[Any, ...]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """The arguments of torch's recurrent layers up to the states, and from the weights on.

    They are (inputs, states) or, of packed sequences, (data, batch sizes, states).
    """
    states = 2 if isinstance(args[3], (list, tuple)) else 1
    return args[: states + 1], args[states + 1 :]
