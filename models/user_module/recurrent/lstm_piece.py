"""The steps of ``nn.LSTM`` and ``nn.LSTMCell`` on a piece of tape, by the kernels of the built-in cell."""

import torch
from torch import Tensor

from gradstudy.models.kernels import bind, viewed
from gradstudy.models.user_module.recurrent.tape import Piece, StateGradients, Weights, with_last


class LstmPiece(Piece):
    """Gates are in torch's order: input, forget, candidate, output."""

    def __init__(self, weights: Weights, batch: int, room: int) -> None:
        """See Piece."""
        super().__init__(weights, batch, room, weights.recurrent.shape[1])
        hidden = weights.recurrent.shape[1] // 4
        self.c = self._empty(room + 1, batch, hidden)
        self.tanh_c = self._empty(room, batch, hidden)
        self.output = self.h if weights.projection is None else self._empty(room + 1, batch, hidden)
        self._projected = self._empty(room, batch, weights.recurrent.shape[2]) if self.output is not self.h else None
        """Gradients of the projected states, [K, S, B, R]."""
        arrays = (self.bias, self.index, self.before, self.gates, self.c, self.tanh_c, self.output)
        self._written = viewed(self.workspace, *arrays)
        self._read = (*viewed(self.workspace, self.gates, self.c, self.tanh_c, self.index), self.no_rows)

    def cell_states(self) -> Tensor | None:
        """See Piece."""
        return self.c

    def forward(self, inputs: Tensor, h0: Tensor, c0: Tensor | None) -> None:
        """See Piece."""
        assert c0 is not None
        first = self.used
        entering, projection = self.enter(inputs), self.weights.projection
        self.h[:, first], self.c[:, first] = h0, c0
        step = bind("lstm_forward", self.workspace, *self._written)
        for t in range(first, first + inputs.shape[1]):
            self.add_up(entering[:, t - first], self.h[:, t])
            step(t)
            if projection is not None:
                self.h[:, t + 1] = torch.bmm(self.output[:, t + 1], projection.transpose(1, 2))

    def backward(self, first: int, steps: int, given: StateGradients, lengths: Tensor | None) -> tuple[Tensor, ...]:
        """See Piece."""
        leaving = with_last(given.outputs, given.h, steps, lengths)
        d = torch.zeros_like(self.h[:, 0])
        dc = torch.zeros_like(self.c[:, 0]) if given.c is None or lengths is not None else given.c.clone()
        dh = d if self._projected is None else torch.empty_like(dc)
        step = bind("lstm_backward", self.workspace, self.no_steps, dh, dc, *self._read, *self.unlimited)
        for i in range(steps - 1, -1, -1):
            t = first + i
            if leaving is not None:
                d += leaving[:, i]
            if given.c is not None and lengths is not None:
                dc += torch.where((lengths == i + 1).unsqueeze(-1), given.c, 0)
            if self._projected is not None and self.weights.projection is not None:
                self._projected[:, t] = d
                torch.bmm(d, self.weights.projection, out=dh)
            step(t)
            torch.bmm(self.gates[:, t], self.weights.recurrent, out=d)
        return self.inputs_gradient(self.gates, first, steps), d, dc

    def forget(self, first: int, steps: int) -> None:
        """See Piece."""
        super().forget(first, steps)
        if self._projected is not None:
            self._projected[:, first : first + steps] = 0
            self.output[:, first + 1 : first + steps + 1] = 0

    def weight_gradients(self) -> tuple[Tensor, ...]:
        """See Piece."""
        gates = self.gates[:, : self.used].flatten(1, 2)
        before = self.h[:, : self.used].flatten(1, 2)
        of_bias = (gates.sum(1),) * len(self.weights.biases)
        found = (torch.bmm(gates.mT, self.inputs_of_calls()), torch.bmm(gates.mT, before), *of_bias)
        if self._projected is None:
            return found
        output = self.output[:, 1 : self.used + 1].flatten(1, 2)
        return *found, torch.bmm(self._projected[:, : self.used].flatten(1, 2).mT, output)
