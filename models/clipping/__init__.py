"""Clipping: in any training loop, and of K gradients at once, each by its own strategy and threshold."""

from gradstudy.models.clipping.clipper import ClipResult, GradientClipper
from gradstudy.models.clipping.training_loop import Clipper, clip_gradients

__all__ = ["ClipResult", "Clipper", "GradientClipper", "clip_gradients"]
