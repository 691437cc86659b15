"""What the calls of one direction of one recurrent layer keep during a forward pass, until its backward pass.

A decoder calls its layer once for every symbol. All calls of a pass write their steps on one tape, one after the other,
so that the gradients of the weights are one product over all steps, not one for each call.

Shapes: K trials, S steps that a piece of tape has room for, T steps of a call, B sequences, I inputs, H hidden units, R
entries of the state that goes round (H, or ``proj_size``), G rows of the weights (4H, 3H, H).
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from gradstudy.models.kernels import viewed
from gradstudy.models.state_clipping import StateLimits
from gradstudy.models.workspace import Workspace


@dataclass(frozen=True)
class Weights:
    """Of one direction of one layer, as torch names them.

    Attributes:
        input: ``weight_ih``, [K, G, I].
        recurrent: ``weight_hh``, [K, G, R].
        biases: ``bias_ih`` and ``bias_hh``, each [K, G]; empty without.
        projection: ``weight_hr``, [K, R, H]; None without.
    """

    input: Tensor
    recurrent: Tensor
    biases: tuple[Tensor, ...]
    projection: Tensor | None

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """All of them, in torch's order."""
        return self.input, self.recurrent, *self.biases, *(() if self.projection is None else (self.projection,))


@dataclass(frozen=True)
class StateGradients:
    """Gradients of a call's results, for one call's backward pass.

    Attributes:
        outputs: of the hidden states, [K, T, B, R]; None where nothing uses them.
        h: of the last hidden state, [K, B, R].
        c: of the last cell state, [K, B, H]; None for cells that have none.
    """

    outputs: Tensor | None
    h: Tensor | None
    c: Tensor | None


class Piece(ABC):
    """Room for S steps; the cells say what a step is."""

    def __init__(self, weights: Weights, batch: int, room: int, gates: int) -> None:
        """Make an empty piece, which keeps so many gates of a sequence and step."""
        self.weights, self.room, self.used = weights, room, 0
        self.trials, self.batch = len(weights.input), batch
        self.entering: dict[int, Tensor] = {}
        """The inputs of each call, [K, T * B, I], by its first step."""
        self.gates = self._empty(room, batch, gates)
        """What the backward pass replaces by gradients."""
        self.workspace = Workspace(weights.input.dtype, weights.input.device)
        self.before = self._empty(batch, weights.input.shape[1])
        self.from_inputs = weights.input.transpose(1, 2).contiguous()
        self.from_state = weights.recurrent.transpose(1, 2).contiguous()
        """The weights as products take them a quarter faster than turned, [K, I, G] and [K, R, G]."""
        self.index = self._index()
        self.h = self._empty(room + 1, batch, weights.recurrent.shape[2])
        """The state that goes round: step t reads entry t and writes entry t + 1, [K, S + 1, B, R]."""
        everybody = self.index.new_empty(0, 0, 0, dtype=torch.bool)
        self.everybody, *limits = viewed(self.workspace, everybody, *StateLimits.none(self.h.dtype, self.h.device))
        self.unlimited = (self.everybody, *limits)
        """What a kernel's backward pass takes where no sequence is absent and no gradient of a state is limited."""
        nothing = self.h.new_empty(0, 0, 0, 0)
        self.no_steps, self.no_rows = viewed(self.workspace, nothing, nothing.flatten(0, 2))
        """What it takes where a state's gradient comes step by step, and that of the rows is wanted nowhere else."""

    def _empty(self, *shape: int) -> Tensor:
        return self.weights.input.new_empty(self.trials, *shape)

    @property
    def bias(self) -> Tensor:
        """The sum of the biases, [K, G]."""
        shape = self.from_inputs.shape
        return sum(self.weights.biases, self.weights.input.new_zeros(shape[0], shape[2]))

    def _index(self) -> Tensor:
        """Which row is added to the product of each sequence, [S, K, B]: the bias of its trial."""
        trials = torch.arange(self.trials, device=self.weights.input.device)
        return trials.view(1, -1, 1).repeat(self.room, 1, self.batch)

    def enter(self, inputs: Tensor) -> Tensor:
        """Keep the inputs [K, T, B, I] of a call, in one piece of memory."""
        inputs = inputs.contiguous()
        self.entering[self.used] = inputs.flatten(1, 2)
        return inputs

    def add_up(self, inputs: Tensor, state: Tensor) -> None:
        """Have ``before`` hold what the inputs [K, B, I] and the state [K, B, R] of a step add to the gates."""
        torch.bmm(inputs, self.from_inputs, out=self.before)
        torch.baddbmm(self.before, state, self.from_state, out=self.before)

    @abstractmethod
    def forward(self, inputs: Tensor, h0: Tensor, c0: Tensor | None) -> None:
        """Run the steps of a call after those that there are; h0 [K, B, R], c0 [K, B, H]."""

    @abstractmethod
    def backward(self, first: int, steps: int, given: StateGradients, lengths: Tensor | None) -> tuple[Tensor, ...]:
        """Gradients of a call's inputs [K, T, B, I], h0 and, where the cell has one, c0.

        Args:
            first: the call's first step on this piece.
            steps: how many.
            given: the gradients of its results.
            lengths: of the sequences, [K, B]; None where all are of ``steps`` steps.
        """

    @abstractmethod
    def weight_gradients(self) -> tuple[Tensor, ...]:
        """Of all weights, in the order of ``Weights.tensors``, after the backward passes of all calls."""

    def forget(self, first: int, steps: int) -> None:
        """Let a call that had no backward pass add nothing to the gradients of the weights, be it not finite.

        Call it after the backward passes of all others, which may have begun with its states.
        """
        self.gates[:, first : first + steps] = 0
        self.h[:, first : first + steps] = 0
        self.entering[first] = torch.zeros_like(self.entering[first])

    def cell_states(self) -> Tensor | None:
        """[K, S + 1, B, H], as ``h``; None for cells that have none."""
        return None

    def inputs_of_calls(self) -> Tensor:
        """Of all steps that are used, [K, S * B, I]."""
        return torch.cat(list(self.entering.values()), 1) if len(self.entering) > 1 else self.entering[0]

    def inputs_gradient(self, gates: Tensor, first: int, steps: int) -> Tensor:
        """Of a call's inputs, from that of its gates [K, S, B, G]."""
        of_gates = gates[:, first : first + steps].flatten(1, 2)
        return torch.bmm(of_gates, self.weights.input).view(self.trials, steps, self.batch, -1)


def with_last(outputs: Tensor | None, h: Tensor | None, steps: int, lengths: Tensor | None) -> Tensor | None:
    """The gradient of all hidden states of a call, [K, T, B, R], with the last ones'; None where there is none."""
    if h is None:
        return outputs
    if outputs is None and lengths is None and steps == 1:
        return h.unsqueeze(1)
    if steps == 1 and lengths is None and outputs is not None:
        return outputs + h.unsqueeze(1)
    trials, batch, size = h.shape
    total = h.new_zeros(trials, steps, batch, size) if outputs is None else outputs.clone()
    if lengths is None:
        total[:, -1] += h
    else:
        at = (lengths - 1).view(trials, 1, batch, 1).expand(-1, -1, -1, size)
        total.scatter_add_(1, at, h.unsqueeze(1))
    return total


def last_of(states: Tensor, first: int, steps: int, lengths: Tensor | None) -> Tensor:
    """The states [K, S + 1, B, H] after a call's last step, [K, B, H], in memory of their own."""
    if lengths is None:
        return states[:, first + steps].clone()
    at = (lengths + first).view(len(states), 1, -1, 1).expand(-1, -1, -1, states.shape[3])
    return states.gather(1, at).squeeze(1)
