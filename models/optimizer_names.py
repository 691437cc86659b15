"""The optimizers by name. Does not import torch."""

from typing import Literal

OptimizerName = Literal["sgd", "momentum", "adam"]
AnyOptimizerName = Literal[OptimizerName, "own"]
"""``own`` is that of the user's own model, which their function returns."""
