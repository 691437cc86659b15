"""How large gradients are in the units that clipping thresholds have."""

import math

import torch
from torch import Tensor
from torch.linalg import vector_norm

from gradstudy.models.clipping.parameter_rules import SMALLEST_WEIGHT_NORM, unit_norm
from gradstudy.models.parameters import ParameterLayout

SCALES = ("norm", "entry", "largest_entry", "parameter", "largest_parameter", "unit_ratio", "largest_unit_ratio")
"""What ``gradient_scales`` measures: the global norm, and of the entries' values, of the parameters' norms and of the
units' ratios of gradient norm to weight norm the root mean square and the largest. A threshold above the largest
changes nothing; one below the root mean square changes most of the gradient."""


@torch.no_grad()
def gradient_scales(layout: ParameterLayout, gradients: Tensor, parameters: Tensor) -> Tensor:
    """Measure the gradients of n models, ``[n, len(SCALES)]``.

    Args:
        layout: of the rows.
        gradients: ``[n, P]`` before clipping, zero in the gaps of the layout.
        parameters: ``[n, P]`` before the step.
    """
    norm = vector_norm(gradients, dim=1)
    norms, ratios = [], []
    for parameter in layout.parameters:
        gradient, weight = parameter.view(gradients), parameter.view(parameters)
        norms.append(vector_norm(gradient.flatten(1), dim=1))
        weight_norm = unit_norm(weight, parameter.unit_axis).clamp(min=SMALLEST_WEIGHT_NORM)
        ratios.append((unit_norm(gradient, parameter.unit_axis) / weight_norm).flatten(1))
    of_parameters, of_units = torch.stack(norms, dim=1), torch.cat(ratios, dim=1)
    entries = sum(parameter.numel for parameter in layout.parameters)
    return torch.stack(
        [
            norm,
            norm / math.sqrt(entries),
            gradients.abs().amax(dim=1),
            norm / math.sqrt(len(norms)),
            of_parameters.amax(dim=1),
            vector_norm(of_units, dim=1) / math.sqrt(of_units.shape[1]),
            of_units.amax(dim=1),
        ],
        dim=1,
    )
