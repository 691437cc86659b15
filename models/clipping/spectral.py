"""Soft spectral clipping: bound the singular values of each parameter's gradient (SPECTRA, arXiv 2603.14315)."""

import torch
from torch import Tensor


def soften_singular_values(
    gradients: list[Tensor], weights: list[Tensor], unit_axes: list[int | None], threshold: Tensor
) -> Tensor:
    """Singular values σ become σ / sqrt(1 + σ²/c²), in place; see ``parameter_rules``.

    A vector is a matrix of one row; further axes are joined to the second one. The factors follow from the eigenvalues
    of the smaller Gram matrix, in double precision. The paper comes near them by ten Newton-Schulz iterations.
    """
    changed = torch.zeros_like(threshold, dtype=torch.bool)
    for gradient in gradients:
        matrix = gradient.reshape(len(gradient), gradient.shape[1] if gradient.ndim > 2 else 1, -1)
        wide = matrix if matrix.shape[1] <= matrix.shape[2] else matrix.mT
        doubled = wide.double()
        gram = doubled @ doubled.mT
        finite = gram.isfinite().flatten(1).all(dim=1)
        values, vectors = torch.linalg.eigh(torch.where(finite.view(-1, 1, 1), gram, 0.0))
        factor = (1 + values.clamp(min=0) / threshold.double().square().unsqueeze(1)).rsqrt()
        softened = ((vectors * factor.unsqueeze(1)) @ vectors.mT).to(wide.dtype) @ wide
        changed |= (factor != 1).any(dim=1)
        gradient.copy_((softened if wide is matrix else softened.mT).reshape(gradient.shape))
    return changed
