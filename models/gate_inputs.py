"""What enters the gates of a recurrent layer at each step, before the recurrent product.

For the first layer these are rows of a table, one for each symbol: a vocabulary has fewer symbols than a batch has
tokens, so the symbols are projected once and looked up. Rows are fetched step by step, straight into the buffer that
the recurrent product is added to. For the other layers they are the projected outputs of the layer below.
"""

from typing import Protocol

import torch
from torch import Tensor


class GateInputs(Protocol):
    """Projected inputs of T steps: ``values`` is what a gradient is taken of."""

    values: Tensor
    shape: tuple[int, int, int]
    """Trials K, steps T, batch B."""

    def step(self, t: int, out: Tensor) -> None:
        """Write the inputs of step ``t`` to ``out`` [K, B, D]."""
        ...

    def gradient(self, grad: Tensor) -> Tensor:
        """The gradient of ``values`` from that of all steps, [K, T, B, D]."""
        ...


class TokenInputs:
    """Rows of a table [K, V, D] picked by tokens [K, T, B]."""

    def __init__(self, table: Tensor, tokens: Tensor) -> None:
        self.values = table
        trials, symbols, _ = table.shape
        self.shape = (trials, tokens.shape[1], tokens.shape[2])
        first_row = torch.arange(0, trials * symbols, symbols, device=tokens.device)
        self._rows = tokens + first_row.view(-1, 1, 1)
        self._rows_of_step = self._rows.transpose(0, 1).reshape(tokens.shape[1], -1).unbind(0)
        self._flat_table = table.detach().reshape(trials * symbols, -1)

    def step(self, t: int, out: Tensor) -> None:
        """See GateInputs."""
        torch.index_select(self._flat_table, 0, self._rows_of_step[t], out=out.view(-1, out.shape[-1]))

    def gradient(self, grad: Tensor) -> Tensor:
        """See GateInputs."""
        rows = grad.flatten(0, 2)
        total: Tensor = torch.ops.aten.embedding_dense_backward(
            rows, self._rows.flatten(), len(self._flat_table), -1, False
        )
        return total.view(self.values.shape)


class DenseInputs:
    """Inputs that are there for every step, [K, T, B, D]."""

    def __init__(self, values: Tensor) -> None:
        self.values = values
        self.shape = (values.shape[0], values.shape[1], values.shape[2])
        self._steps = values.detach().unbind(1)

    def step(self, t: int, out: Tensor) -> None:
        """See GateInputs."""
        out.copy_(self._steps[t])

    def gradient(self, grad: Tensor) -> Tensor:
        """See GateInputs."""
        return grad
