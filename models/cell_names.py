"""The cells that layers can be made of, by name. Does not import torch."""

from typing import Literal

RecurrentCell = Literal["lstm", "gru", "rnn_tanh", "rnn_relu"]
Cell = Literal[RecurrentCell, "dense"]

RECURRENT_CELLS: tuple[RecurrentCell, ...] = ("lstm", "gru", "rnn_tanh", "rnn_relu")
"""``rnn_tanh`` and ``rnn_relu`` are ``torch.nn.RNN`` of these nonlinearities."""

GATES: dict[Cell, int] = {"lstm": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1, "dense": 1}
"""Products with the weights for each hidden unit."""

PLAIN_CELLS = ("rnn_tanh", "rnn_relu")
"""Those without gates."""
