"""Soft spectral clipping: bound the singular values of each parameter's gradient (SPECTRA, arXiv 2603.14315)."""

import torch
from torch import Tensor


def soften_singular_values(
    gradients: list[Tensor], weights: list[Tensor], unit_axes: list[int | None], threshold: Tensor
) -> Tensor:
    """Singular values σ become σ / sqrt(1 + σ²/c²), in place; see ``parameter_rules``.

    A vector is a matrix of one row; further axes are joined to the second one. The factors follow from the eigenvalues
    of the smaller Gram matrix, where the paper comes near them by ten Newton-Schulz iterations. In float32 a factor is
    off by up to about 1e-7 times the square of the largest σ/c, which matters only to the smallest singular values.
    """
    changed = torch.zeros_like(threshold, dtype=torch.bool)
    for gradient in gradients:
        matrix = gradient.reshape(len(gradient), gradient.shape[1] if gradient.ndim > 2 else 1, -1)
        wide = matrix if matrix.shape[1] <= matrix.shape[2] else matrix.mT
        gram = wide @ wide.mT
        broken = ~gram.diagonal(dim1=1, dim2=2).sum(dim=1).isfinite()  # which the decomposition would refuse
        values, vectors = torch.linalg.eigh(gram.masked_fill_(broken.view(-1, 1, 1), 0.0))
        factor = (1 + values.clamp(min=0) / threshold.square().unsqueeze(1)).rsqrt()
        softened = ((vectors * factor.unsqueeze(1)) @ vectors.mT) @ wide
        changed |= (factor != 1).any(dim=1)
        gradient.copy_((softened if wide is matrix else softened.mT).reshape(gradient.shape))
    return changed
