"""The steps of ``nn.RNN`` and ``nn.RNNCell`` on a piece of tape, by the kernels of the built-in cell."""

from functools import partial
from typing import Literal

import torch
from torch import Tensor

from gradstudy.models.kernels import bind, viewed
from gradstudy.models.user_module.recurrent.tape import Piece, StateGradients, Weights, with_last


class RnnPiece(Piece):
    """A product and its nonlinearity, tanh or relu."""

    def __init__(self, weights: Weights, batch: int, room: int, nonlinearity: Literal["tanh", "relu"]) -> None:
        """See Piece."""
        super().__init__(weights, batch, room, weights.recurrent.shape[1])
        self._relu = nonlinearity == "relu"
        self._initial: dict[int, Tensor] = {}
        """The initial state of each call by its first step; its place in ``h`` is that of the last state before it,
        which that one's backward pass needs."""
        arrays = (self.bias, self.index, self.before, self.gates, self.h)
        bias, index, before, gates, h = viewed(self.workspace, *arrays)
        self._written, self._read = (bias, index, before, self.everybody, h), (gates, h, index, self.no_rows)

    def forward(self, inputs: Tensor, h0: Tensor, c0: Tensor | None) -> None:
        """See Piece."""
        first = self.used
        entering = self.enter(inputs)
        self._initial[first] = h0
        step = partial(bind("rnn_forward", self.workspace, *self._written), self._relu)
        for t in range(first, first + inputs.shape[1]):
            self.add_up(entering[:, t - first], h0 if t == first else self.h[:, t])
            step(t)

    def backward(self, first: int, steps: int, given: StateGradients, lengths: Tensor | None) -> tuple[Tensor, ...]:
        """See Piece."""
        leaving = with_last(given.outputs, given.h, steps, lengths)
        dh = torch.zeros_like(self.h[:, 0])
        arrays = (self.no_steps, dh, *self._read, *self.unlimited)
        step = partial(bind("rnn_backward", self.workspace, *arrays), self._relu)
        for i in range(steps - 1, -1, -1):
            if leaving is not None:
                dh += leaving[:, i]
            step(first + i)
            torch.bmm(self.gates[:, first + i], self.weights.recurrent, out=dh)
        return self.inputs_gradient(self.gates, first, steps), dh

    def forget(self, first: int, steps: int) -> None:
        """See Piece."""
        super().forget(first, steps)
        del self._initial[first]

    def weight_gradients(self) -> tuple[Tensor, ...]:
        """See Piece."""
        for first, state in self._initial.items():
            self.h[:, first] = state
        gradients = self.gates[:, : self.used].flatten(1, 2)
        before = self.h[:, : self.used].flatten(1, 2)
        of_bias = (gradients.sum(1),) * len(self.weights.biases)
        return torch.bmm(gradients.mT, self.inputs_of_calls()), torch.bmm(gradients.mT, before), *of_bias
