"""The optimizers by name. Does not import torch."""

from typing import Literal

OptimizerName = Literal["sgd", "momentum", "adam"]
AnyOptimizerName = Literal["sgd", "momentum", "adam", "own"]
"""``own`` is that of the user's own model, which their function returns."""
