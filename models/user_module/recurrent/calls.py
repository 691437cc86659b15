"""The calls of recurrent layers in one forward pass, as operations of autograd over K trials."""

from functools import reduce
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function

from gradstudy.models.user_module.recurrent.gru_piece import GruPiece
from gradstudy.models.user_module.recurrent.lstm_piece import LstmPiece
from gradstudy.models.user_module.recurrent.rnn_piece import RnnPiece
from gradstudy.models.user_module.recurrent.tape import Piece, StateGradients, Weights, last_of

Kind = Literal["lstm", "gru", "rnn_tanh", "rnn_relu"]

TWICE = "a backward pass through this forward pass has been made, and its intermediate results are gone"


def _make_piece(kind: Kind, weights: Weights, batch: int, room: int) -> Piece:
    if kind == "lstm":
        return LstmPiece(weights, batch, room)
    if kind == "gru":
        return GruPiece(weights, batch, room)
    return RnnPiece(weights, batch, room, "tanh" if kind == "rnn_tanh" else "relu")


class Call(NamedTuple):
    """A call's place on a tape: its first step on a piece, and how many it has."""

    piece: Piece
    first: int
    steps: int


class Tape:
    """One direction of one layer: pieces that calls fill, and what their backward passes wait for.

    It knows nothing of autograd's graph, whose nodes hold it: in a circle, what a step wrote would stay in memory until
    the next garbage collection, and every step would write to memory that no cache holds.

    Attributes:
        steps: how many there are.
        waiting: calls without a backward pass: those that are never used for the loss, until the end.
    """

    def __init__(self, kind: Kind, weights: Weights, batch: int, room: int) -> None:
        """Make an empty tape with room for so many steps; it grows."""
        self.kind: Kind = kind
        self.batch, self.steps = batch, 0
        self.pieces: list[Piece] = []
        self.waiting: set[Call] = set()
        self._weights = Weights(
            weights.input.detach(),
            weights.recurrent.detach(),
            tuple(bias.detach() for bias in weights.biases),
            None if weights.projection is None else weights.projection.detach(),
        )
        self._room = room

    def place(self, steps: int) -> Call:
        """Where the next call writes its steps."""
        if not self.pieces or self.pieces[-1].used + steps > self.pieces[-1].room:
            room = max(self._room if not self.pieces else self.pieces[-1].room, steps)
            self.pieces.append(_make_piece(self.kind, self._weights, self.batch, room))
        self.steps += steps
        call = Call(self.pieces[-1], self.pieces[-1].used, steps)
        self.waiting.add(call)
        return call

    def weight_gradients(self) -> list[tuple[Tensor, ...]]:
        """Those of each piece, after the backward passes of all calls that have a part in the loss."""
        for call in self.waiting:
            call.piece.forget(call.first, call.steps)
        self.waiting.clear()
        return [piece.weight_gradients() for piece in self.pieces]


class _Weights(Function):
    """The weights of a tape; their gradients come from the tape."""

    @staticmethod
    def forward(ctx: Any, tape: Tape, *weights: Tensor) -> Tensor:
        ctx.set_materialize_grads(False)
        ctx.tape = tape
        return weights[0].new_zeros(())

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        found: list[tuple[Tensor, ...]] = ctx.tape.weight_gradients()
        return None, *(reduce(torch.add, parts) for parts in zip(*found, strict=True))


class _Call(Function):
    @staticmethod
    def forward(
        ctx: Any, token: Tensor, inputs: Tensor, h0: Tensor, c0: Tensor | None, lengths: Tensor | None, tape: Tape
    ) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        call = tape.place(inputs.shape[1])
        piece, first, steps = call
        piece.forward(inputs, h0, c0)
        piece.used += steps
        ctx.made = (tape, call, lengths)
        outputs = piece.h[:, first + 1 : first + steps + 1].clone()
        states = (last_of(piece.h, first, steps, lengths),)
        cells = piece.cell_states()
        return outputs, *states, *(() if cells is None else (last_of(cells, first, steps, lengths),))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        tape, call, lengths = ctx.made
        if call not in tape.waiting:
            raise RuntimeError(TWICE)
        tape.waiting.remove(call)
        given = StateGradients(*(*grads, None)[:3])
        found: tuple[Tensor | None, ...] = (*call.piece.backward(call.first, call.steps, given, lengths), None)
        return None, *found[:3], None, None


class ForwardPass:
    """The tapes of one forward pass.

    Args:
        rooms: of the tapes in the order in which they were begun, from a pass before; taken up by the next one.
    """

    def __init__(self, rooms: dict[int, int]) -> None:
        self._rooms = rooms
        self._tapes: dict[tuple[Any, ...], tuple[Tape, Tensor]] = {}
        """With a token: an input of every call, so that the gradients of the weights come after those of all calls."""

    def run(
        self,
        kind: Kind,
        weights: Weights,
        inputs: Tensor,
        states: tuple[Tensor, ...],
        lengths: Tensor | None = None,
    ) -> tuple[Tensor, ...]:
        """Run one direction of one layer over T steps of K trials.

        Args:
            kind: of cell.
            weights: of the direction.
            inputs: [K, T, B, I].
            states: the initial hidden state [K, B, R] and, for an LSTM, the cell state [K, B, H].
            lengths: of the sequences, [K, B]; None where all are of T steps.

        Returns:
            The hidden states [K, T, B, R] and the last states; what comes after a sequence's end means nothing.
        """
        key = (kind, inputs.shape[2], *((tensor.data_ptr(), tensor._version) for tensor in weights.tensors))
        if key not in self._tapes:
            room = self._rooms.get(len(self._tapes), inputs.shape[1])
            self._tapes[key] = _begun(Tape(kind, weights, inputs.shape[2], room), weights)
        tape, token = self._tapes[key]
        h0, c0 = (*states, None)[:2]
        results: tuple[Tensor, ...] = _Call.apply(  # type: ignore[no-untyped-call]
            token, inputs, h0, c0, lengths, tape
        )
        return results

    def remember_rooms(self) -> None:
        """Keep how long the tapes became for the next pass."""
        self._rooms.update(enumerate(tape.steps for tape, _ in self._tapes.values()))


def _begun(tape: Tape, weights: Weights) -> tuple[Tape, Tensor]:
    """A tape with its token."""
    with torch.enable_grad():  # the first call may be one without gradients, and the next one not
        token: Tensor = _Weights.apply(tape, *weights.tensors)  # type: ignore[no-untyped-call]
    return tape, token
