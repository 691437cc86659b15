"""Clipping per trial: K gradients at once, each by its own strategy and threshold."""

from gradstudy.models.clipping.clipper import ClipResult, GradientClipper

__all__ = ["ClipResult", "GradientClipper"]
