"""Notices that gradients were clipped while a ``GradScaler`` still had them scaled."""

import math
import warnings
import weakref
from collections.abc import Sequence
from typing import Any

from torch import Tensor

FORGOTTEN = (
    "the gradients were divided by {scale:g} after they had been clipped: they were clipped as the scaler had scaled "
    "them. Call scaler.unscale_(optimizer) between scaler.scale(loss).backward() and clipping"
)

TRIES = 10
"""Steps that are looked at, at most: a new scaler overflows in some, and in some loops nothing can be seen."""
EXACT = 1e-3
"""How far the quotient may be from a power of two, as gradients in half precision are rounded."""


class UnscaleCheck:
    """Looks, when the next step comes, at what became of a gradient that was clipped.

    ``GradScaler.step`` divides the gradients by its scale in place unless ``unscale_`` has done so, and nothing else in
    a training loop divides them by a power of two. That can be seen where ``zero_grad`` lets go of the gradients, as it
    does by default. The device is waited for in the first steps, until one of them was finite.
    """

    def __init__(self) -> None:
        """Begin without a gradient."""
        self._tries = TRIES
        self._gradient: Tensor | None = None
        self._owner: weakref.ref[Tensor] | None = None
        self._before = 0.0

    def __getstate__(self) -> dict[str, Any]:
        """All but the gradient, which a copy of this object has no part in."""
        return {**self.__dict__, "_gradient": None, "_owner": None}

    def look(self) -> None:
        """Look at the gradient of the step before; warns with a UserWarning, once."""
        owner = self._owner() if self._owner is not None else None
        gradient, self._gradient, self._owner = self._gradient, None, None
        if gradient is None or owner is None or owner.grad is gradient:
            return
        now = float(gradient.detach().float().norm())
        ratio = self._before / now if now else math.inf
        if not math.isfinite(ratio) or ratio == 0:
            return
        self._tries = 0
        scale = 2.0 ** round(math.log2(ratio))
        if scale > 1 and math.isclose(ratio, scale, rel_tol=EXACT):
            warnings.warn(FORGOTTEN.format(scale=scale), stacklevel=5)

    def keep(self, owners: Sequence[Tensor]) -> None:
        """Keep the smallest of the gradients that were clipped until the next step."""
        if not self._tries:
            return
        dense = [owner for owner in owners if owner.grad is not None and not owner.grad.is_sparse]
        if not dense:
            return
        self._tries -= 1
        owner = min(dense, key=Tensor.numel)
        self._gradient, self._owner = owner.grad, weakref.ref(owner)
        self._before = float(owner.grad.detach().float().norm())  # type: ignore[union-attr]
