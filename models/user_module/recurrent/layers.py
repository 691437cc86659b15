"""Torch's recurrent layers as a forward pass calls them, answered by ours."""

from collections.abc import Callable
from typing import Any

from torch import _VF, Tensor

from gradstudy.models.user_module.recurrent.calls import ForwardPass, Kind
from gradstudy.models.user_module.recurrent.rule import recurrent_layers
from gradstudy.models.user_module.recurrent.stack import Stack

KINDS: dict[Callable[..., Any], Kind] = {
    _VF.lstm: "lstm",
    _VF.gru: "gru",
    _VF.rnn_tanh: "rnn_tanh",
    _VF.rnn_relu: "rnn_relu",
}
CELLS: dict[Callable[..., Any], Kind] = {
    _VF.lstm_cell: "lstm",
    _VF.gru_cell: "gru",
    _VF.rnn_tanh_cell: "rnn_tanh",
    _VF.rnn_relu_cell: "rnn_relu",
}


def layers(
    kind: Kind, forward_pass: ForwardPass, key: Tensor | None, draw: int, lengths: Tensor | None, args: tuple[Any, ...]
) -> tuple[Tensor, ...]:
    """``_VF.lstm`` and the like.

    Args:
        kind: of cell.
        forward_pass: that the call belongs to.
        key: of masks between layers; None where nothing is dropped.
        draw: the number of the first of these masks.
        lengths: of the sequences, [B]; None where all are of T steps.
        args: as torch's module gives them, of inputs that are not packed.
    """
    inputs, states, weights, has_biases, count, rate, training, bidirectional, batch_first = args
    stack = Stack(kind, count, 2 if bidirectional else 1, has_biases, rate if training else 0.0, draw)
    h0, c0 = states if kind == "lstm" else (states, None)
    inputs = inputs.transpose(0, 1) if batch_first else inputs
    output, *last = recurrent_layers(stack, forward_pass, key, lengths, inputs, h0, c0, *weights)
    return output.transpose(0, 1) if batch_first else output, *last


def cell(kind: Kind, forward_pass: ForwardPass, args: tuple[Any, ...]) -> Tensor | tuple[Tensor, ...]:
    """``_VF.lstm_cell`` and the like."""
    inputs, states, *weights = args
    weights = [weight for weight in weights if weight is not None]
    h0, c0 = states if kind == "lstm" else (states, None)
    given = [None if one is None else one.unsqueeze(0) for one in (inputs, h0, c0)]
    stack = Stack(kind, has_biases=len(weights) > 2)
    _, *last = recurrent_layers(stack, forward_pass, None, None, *given, *weights)
    of_cell = tuple(state.squeeze(0) for state in last)
    return of_cell if kind == "lstm" else of_cell[0]
