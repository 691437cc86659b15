"""The steps of ``nn.RNN`` and ``nn.RNNCell`` on a piece of tape."""

from typing import Literal

import torch
from torch import Tensor

from gradstudy.models.user_module.recurrent.tape import Piece, StateGradients, Weights, with_last


class RnnPiece(Piece):
    """A product and its nonlinearity, tanh or relu."""

    def __init__(self, weights: Weights, batch: int, room: int, nonlinearity: Literal["tanh", "relu"]) -> None:
        """See Piece."""
        super().__init__(weights, batch, room, weights.recurrent.shape[1])
        self._nonlinearity = nonlinearity
        self._bias = sum(weights.biases[1:], weights.biases[0]) if weights.biases else None

    def forward(self, inputs: Tensor, h0: Tensor, c0: Tensor | None) -> None:
        """See Piece."""
        first, steps = self.used, inputs.shape[1]
        rows = self.project(inputs, self._bias).view(self.trials, steps, self.batch, -1)
        self.h[:, first] = h0
        recurrent = self.weights.recurrent.transpose(1, 2)
        for i in range(steps):
            before = torch.baddbmm(rows[:, i], self.h[:, first + i], recurrent)
            after = before.tanh_() if self._nonlinearity == "tanh" else before.relu_()
            self.h[:, first + i + 1] = self.gates[:, first + i] = after

    def backward(self, first: int, steps: int, given: StateGradients, lengths: Tensor | None) -> tuple[Tensor, ...]:
        """See Piece."""
        leaving = with_last(given.outputs, given.h, steps, lengths)
        dh = torch.zeros_like(self.h[:, 0])
        for i in range(steps - 1, -1, -1):
            if leaving is not None:
                dh += leaving[:, i]
            after = self.gates[:, first + i]
            after.copy_(dh * (1 - after * after if self._nonlinearity == "tanh" else after > 0))
            torch.bmm(after, self.weights.recurrent, out=dh)
        return self.inputs_gradient(self.gates, first, steps), dh

    def weight_gradients(self) -> tuple[Tensor, ...]:
        """See Piece."""
        gradients = self.gates[:, : self.used].flatten(1, 2)
        before = self.h[:, : self.used].flatten(1, 2)
        of_bias = (gradients.sum(1),) * len(self.weights.biases)
        return torch.bmm(gradients.mT, self.inputs_of_calls()), torch.bmm(gradients.mT, before), *of_bias
