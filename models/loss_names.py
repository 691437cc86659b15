"""The names of the losses that models are trained with. Does not import torch."""

from typing import Literal

LossKind = Literal["cross_entropy", "mae", "huber", "mse", "likelihood"]
"""Cross-entropy is of symbols; the others are of real values: absolute, Huber's with delta 1,
squared. The negative log likelihood of a density is a loss of users' own models: it may be negative."""
