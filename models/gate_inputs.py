"""What enters the gates of a recurrent layer at each step, beside the recurrent product.

For the first layer these are rows of a table, one for each symbol: a vocabulary has fewer symbols than a batch has
tokens, so the symbols are projected once and looked up. For the other layers they are the projected outputs of the
layer below, a row for each trial, step and sequence.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class GateInputs:
    """Projected inputs of K trials over T steps of batches of B sequences.

    Attributes:
        values: what a gradient is taken of; its leading axes hold N rows.
        rows: the same without history, [N, D].
        index: the row that enters at each step, [T, K, B].
        shared: whether rows enter more than once or in another order, so that their gradients are gathered by number.
        absent: which sequences have not begun, [T, K, B]; of no elements where all have, or nobody asks.
    """

    values: Tensor
    rows: Tensor
    index: Tensor
    shared: bool
    absent: Tensor


def token_inputs(table: Tensor, tokens: Tensor, absent: Tensor | None = None) -> GateInputs:
    """Rows of the tables [K, V, D] picked by tokens [K, T, B]; ``absent`` as in ``GateInputs``."""
    trials, symbols, _ = table.shape
    first_row = torch.arange(0, trials * symbols, symbols, device=tokens.device)
    index = (tokens + first_row.view(-1, 1, 1)).transpose(0, 1).contiguous()
    return GateInputs(table, table.detach().flatten(0, 1), index, shared=True, absent=_or_nobody(absent, index))


def dense_inputs(values: Tensor, order: Tensor | None = None, absent: Tensor | None = None) -> GateInputs:
    """Inputs that are there for every step, [K, T, B, D]; read in another order where one is given, [K, T, B].

    ``absent`` is as in ``GateInputs``, in the order in which they are read.
    """
    shape = values.shape[:3]
    row = torch.arange(shape.numel(), device=values.device).view(shape)
    if order is not None:
        row = row.gather(1, order)
    index = row.transpose(0, 1).contiguous()
    rows = values.detach().contiguous().flatten(0, 2)
    return GateInputs(values, rows, index, shared=order is not None, absent=_or_nobody(absent, index))


def embedded(table: Tensor, tokens: Tensor) -> Tensor:
    """Rows of the tables [K, V, D] picked by tokens [K, T, B], each on its own: [K, T, B, D]."""
    first_row = torch.arange(0, table.shape[0] * table.shape[1], table.shape[1], device=tokens.device)
    return functional.embedding(tokens + first_row.view(-1, 1, 1), table.flatten(0, 1))


def reversal(padding: Tensor) -> Tensor:
    """The step that is read at each step to reverse sequences within their lengths, [K, T, B].

    As torch reverses packed sequences, but that ours are padded at the front, where padding stays.

    Args:
        padding: True where a step is padding, [K, T, B].
    """
    steps = padding.shape[1]
    step = torch.arange(steps, device=padding.device).view(-1, 1)
    return torch.where(padding, step, steps - 1 + padding.sum(1, keepdim=True) - step)


def _or_nobody(absent: Tensor | None, index: Tensor) -> Tensor:
    return index.new_empty(0, 0, 0, dtype=torch.bool) if absent is None else absent
