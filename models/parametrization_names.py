"""The parametrizations of a model by its width, by name. Does not import torch."""

from typing import Literal

from gradstudy.models.optimizer_settings import OptimizerName

ParametrizationName = Literal["standard", "mup"]
"""Standard is as torch initializes, with one learning rate for all; see ``models.parametrization`` for the other."""

BY_SIZE: tuple[OptimizerName, ...] = ("sgd", "momentum", "nesterov")
"""Optimizers whose updates are as large as gradients; those of the others are as large at any gradient."""
EVEN = ("standardize",)
"""Clipping strategies after which gradients of every size are alike, as those that Adam divides."""


def is_by_size(optimizer: OptimizerName, strategy: str) -> bool:
    """Whether updates are as large as gradients."""
    return optimizer in BY_SIZE and strategy not in EVEN
