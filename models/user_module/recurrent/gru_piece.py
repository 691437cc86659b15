"""The steps of ``nn.GRU`` and ``nn.GRUCell`` on a piece of tape, by the kernels of the built-in cell."""

import torch
from torch import Tensor

from gradstudy.models.kernels import bind, viewed
from gradstudy.models.user_module.recurrent.tape import Piece, StateGradients, Weights, with_last


class GruPiece(Piece):
    """Weights are in torch's order: reset, update, candidate; see ``compiled_kernels.gru_backward`` for the gates."""

    def __init__(self, weights: Weights, batch: int, room: int) -> None:
        """See Piece."""
        self._hidden = hidden = weights.recurrent.shape[2]
        super().__init__(weights, batch, room, 4 * hidden)
        self._bias = None
        self._outer = torch.zeros_like(weights.recurrent[:, :hidden, 0])
        if weights.biases:
            of_inputs, of_state = weights.biases
            self._bias = of_inputs.clone()
            self._bias[:, : 2 * hidden] += of_state[:, : 2 * hidden]
            self._outer = of_state[:, 2 * hidden :].contiguous()
        self._written = viewed(self.workspace, self.index, self.before, self._outer, self.gates, self.h)
        self._read = (*viewed(self.workspace, self.gates, self.h, self.index), self.no_rows)

    def forward(self, inputs: Tensor, h0: Tensor, c0: Tensor | None) -> None:
        """See Piece."""
        first = self.used
        rows = self._project(self.enter(inputs))
        self.h[:, first] = h0
        step = bind("gru_forward", self.workspace, rows, *self._written)
        for t in range(first, first + inputs.shape[1]):
            torch.bmm(self.h[:, t], self.from_state, out=self.before)
            step(t)

    def _index(self) -> Tensor:
        """Which row enters which sequence of a call of one step, [S, K, B]."""
        rows = torch.arange(self.trials * self.batch, device=self.weights.input.device)
        return rows.view(1, self.trials, self.batch).repeat(self.room, 1, 1)

    def _project(self, inputs: Tensor) -> Tensor:
        """What inputs [K, T, B, I] add to the gates, [K * T * B, G]; ``index`` then tells the row of each step.

        The candidate takes it apart from what the state adds.
        """
        trials, steps, batch, _ = inputs.shape
        rows = inputs.flatten(1, 2)
        if self._bias is None:
            made = torch.bmm(rows, self.from_inputs)
        else:
            made = torch.baddbmm(self._bias.unsqueeze(1), rows, self.from_inputs)
        if steps > 1:
            index = torch.arange(trials * steps * batch, device=rows.device).view(trials, steps, batch)
            self.index[self.used : self.used + steps] = index.transpose(0, 1)
        return made.flatten(0, 1)

    def backward(self, first: int, steps: int, given: StateGradients, lengths: Tensor | None) -> tuple[Tensor, ...]:
        """See Piece."""
        leaving = with_last(given.outputs, given.h, steps, lengths)
        dh, direct = torch.zeros_like(self.h[:, 0]), torch.zeros_like(self.h[:, 0])
        recurrent = self.weights.recurrent.roll(self._hidden, 1)
        step = bind("gru_backward", self.workspace, self.no_steps, dh, direct, *self._read, *self.unlimited)
        for i in range(steps - 1, -1, -1):
            if leaving is not None:
                dh += leaving[:, i]
            step(first + i)
            torch.bmm(self.gates[:, first + i, :, : 3 * self._hidden], recurrent, out=dh)
        return self.inputs_gradient(self.gates[..., self._hidden :], first, steps), dh + direct

    def weight_gradients(self) -> tuple[Tensor, ...]:
        """See Piece."""
        gates = self.gates[:, : self.used].flatten(1, 2)
        entering, recurrent = gates[..., self._hidden :], gates[..., : 3 * self._hidden]
        before = self.h[:, : self.used].flatten(1, 2)
        of_recurrent = torch.bmm(recurrent.mT, before).roll(-self._hidden, 1)
        found = (torch.bmm(entering.mT, self.inputs_of_calls()), of_recurrent)
        if not self.weights.biases:
            return found
        return *found, entering.sum(1), recurrent.sum(1).roll(-self._hidden, 1)
