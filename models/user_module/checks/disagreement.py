"""How losses and gradients of a run in a batch differ from those of the same run alone."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

TOLERANCE = 1e-4
"""Relative difference of losses and of gradients up to which a batched run equals a single one, in float32."""

OF_ONE, OF_WHOLE = 1e-4, 1e-9
"""In float64, the difference of the gradient of each parameter: a share of its own norm, and of the norm of all, below
which it is rounding."""


def disagreement(
    single: tuple[Tensor, Sequence[Tensor | None]],
    batched: tuple[Tensor, Sequence[Tensor | None]],
    allowed: float = TOLERANCE,
) -> str | None:
    """How one run's loss and gradients differ from those of the same run in a batch; None where they do not."""
    if not torch.allclose(single[0].double(), batched[0].double(), rtol=allowed, atol=0, equal_nan=True):
        return f"its loss is {float(batched[0]):.6g} in a batch and {float(single[0]):.6g} alone"
    norms, differences = _compared(single[1], batched[1])
    norm, difference = norms.norm(), differences.norm()
    if difference <= allowed * norm:
        return None
    if not norm.isfinite():
        finite = all(gradient is None or gradient.isfinite().all() for gradient in batched[1])
        return "its gradient is finite in a batch and is not alone" if finite else None
    share = f"{difference / norm:.2g} of its norm" if norm > 0 else f"{difference:.2g} from nothing"
    return f"its gradient differs by {share}"


def strict_disagreement(
    names: Iterable[str],
    single: tuple[Tensor, Sequence[Tensor | None]],
    batched: tuple[Tensor, Sequence[Tensor | None]],
) -> str | None:
    """The same in float64, for each parameter: the gradient of a small one is no part of the norm of all."""
    norms, differences = _compared(single[1], batched[1])
    allowed = OF_ONE * norms + OF_WHOLE * norms.norm()
    for name, difference, most, norm in zip(names, differences, allowed, norms, strict=True):
        if difference > most:
            return f"the gradient of {name} differs by {difference / norm:.2g} of its norm"
    return None


def _compared(single: Sequence[Tensor | None], batched: Sequence[Tensor | None]) -> tuple[Tensor, Tensor]:
    """The norms of each gradient alone and of how it differs, [P] each, in float64."""
    norms, differences = [], []
    for alone, in_company in zip(single, batched, strict=True):
        a, b = (
            torch.zeros((), dtype=torch.float64) if gradient is None else gradient.to_dense().double().cpu()
            for gradient in (alone, in_company)
        )
        norms.append(a.norm())
        differences.append((a - b).norm())
    return torch.stack(norms), torch.stack(differences)
