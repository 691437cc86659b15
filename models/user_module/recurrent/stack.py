"""Layers and directions of ``nn.LSTM``, ``nn.GRU`` and ``nn.RNN`` over K trials.

Shapes: K trials, T steps, B sequences, I inputs, R entries of the hidden state, L layers, D directions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from gradstudy.models.user_module.draws.keyed_random import dropout_masks
from gradstudy.models.user_module.random_state import DRAWS, RandomNumbersError
from gradstudy.models.user_module.recurrent.calls import ForwardPass, Kind
from gradstudy.models.user_module.recurrent.tape import Weights


@dataclass(frozen=True)
class Stack:
    """What a call of torch's recurrent layers asks for, beside tensors.

    Attributes:
        kind: of cell.
        layers: L.
        directions: D, 1 or 2.
        has_biases: whether the weights hold any.
        dropout: between layers; 0 in evaluation mode.
        draw: the number of the first mask that the call draws.
    """

    kind: Kind
    layers: int = 1
    directions: int = 1
    has_biases: bool = True
    dropout: float = 0.0
    draw: int = 0

    def split(self, tensors: Sequence[Tensor]) -> list[Weights]:
        """The weights of each direction of each layer, [K, ...], from torch's flat list."""
        each = len(tensors) // (self.layers * self.directions)
        biases = 2 if self.has_biases else 0
        parts = [tensors[i : i + each] for i in range(0, len(tensors), each)]
        return [Weights(p[0], p[1], tuple(p[2 : 2 + biases]), p[-1] if each > 2 + biases else None) for p in parts]


def run_stack(
    stack: Stack,
    forward_pass: ForwardPass,
    keys: Tensor | None,
    lengths: Tensor | None,
    inputs: Tensor,
    states: Sequence[Tensor],
    weights: Sequence[Tensor],
) -> tuple[Tensor, ...]:
    """Run all layers.

    Args:
        stack: what is asked for.
        forward_pass: that the call belongs to.
        keys: of the masks between layers, [K]; None where nothing may be dropped.
        lengths: of the sequences, [K, B]; None where all are of T steps.
        inputs: [K, T, B, I].
        states: initial ones, [K, L * D, B, R] and, for an LSTM, of cells.
        weights: torch's flat list, each [K, ...].

    Returns:
        The outputs of the last layer [K, T, B, D * R], zero after a sequence's end, and the last states.

    Raises:
        RandomNumbersError: there are no keys, and the layers drop something.
    """
    parts = stack.split(weights)
    backwards = _Order(lengths, inputs.shape[1]) if stack.directions == 2 else None
    last: list[tuple[Tensor, ...]] = []
    for layer in range(stack.layers):
        outputs = []
        for direction in range(stack.directions):
            number = layer * stack.directions + direction
            given = inputs if direction == 0 or backwards is None else backwards(inputs)
            initial = tuple(state[:, number] for state in states)
            made, *ended = forward_pass.run(stack.kind, parts[number], given, initial, lengths)
            outputs.append(made if direction == 0 or backwards is None else backwards(made))
            last.append(tuple(ended))
        inputs = outputs[0] if len(outputs) == 1 else torch.cat(outputs, -1)
        if stack.dropout > 0 and layer < stack.layers - 1:
            if keys is None:
                raise RandomNumbersError(DRAWS)
            inputs = inputs * dropout_masks(keys, stack.draw + layer, inputs.shape[1:], stack.dropout, inputs.dtype)
    if lengths is not None:
        inputs = inputs * within(lengths, inputs.shape[1]).unsqueeze(-1)
    return inputs, *(_stacked(of_all) for of_all in zip(*last, strict=True))


def _stacked(states: Sequence[Tensor]) -> Tensor:
    """The last states of each layer and direction, [K, B, R], as one tensor [K, L * D, B, R]."""
    return states[0].unsqueeze(1) if len(states) == 1 else torch.stack(list(states), 1)


def within(lengths: Tensor, steps: int) -> Tensor:
    """Which of T steps belong to their sequence, [..., T, B] of lengths [..., B]."""
    return torch.arange(steps, device=lengths.device).view(-1, 1) < lengths.unsqueeze(-2)


class _Order:
    """Turns sequences round, each within its own length, which the same turn undoes."""

    def __init__(self, lengths: Tensor | None, steps: int) -> None:
        self._index = None
        if lengths is not None:
            at = torch.arange(steps, device=lengths.device).view(1, -1, 1)
            self._index = torch.where(at < lengths.unsqueeze(1), lengths.unsqueeze(1) - 1 - at, at)

    def __call__(self, x: Tensor) -> Tensor:
        """Turn [K, T, B, I]."""
        if self._index is None:
            return x.flip(1)
        turned: Tensor = _Turned.apply(x, self._index)  # type: ignore[no-untyped-call]
        return turned


class _Turned(Function):
    """A gather whose backward pass is the same gather: the index is its own inverse."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, index: Tensor) -> Tensor:
        ctx.index = index
        return x.gather(1, index.unsqueeze(-1).expand_as(x))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = grads
        return grad.gather(1, ctx.index.unsqueeze(-1).expand_as(grad)), None
