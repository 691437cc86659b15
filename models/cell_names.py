"""The cells that layers can be made of. Does not import torch."""

from typing import Literal

RecurrentCell = Literal["lstm", "gru", "rnn_tanh", "rnn_relu"]
Cell = Literal[RecurrentCell, "dense"]

RECURRENT_CELLS: tuple[RecurrentCell, ...] = ("lstm", "gru", "rnn_tanh", "rnn_relu")
"""``rnn_tanh`` and ``rnn_relu`` are ``torch.nn.RNN`` of these nonlinearities."""

PLAIN_CELLS = ("rnn_tanh", "rnn_relu")
"""Those without gates."""
