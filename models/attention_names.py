"""The names of the ways in which a decoder attends to the encoder's outputs. Does not import torch."""

from typing import Literal

AttentionName = Literal["none", "dot", "bahdanau"]
