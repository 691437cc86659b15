"""Maximal update parametrization: a model of another width learns at the learning rates of one of a base width.

Yang, Hu et al. 2021, arXiv 2203.03466 (Tensor Programs V), table 8, by what of a parameter's shape grows with the width
(as their package ``mup`` finds it out: by comparing with the model of the base width). ``i`` and ``o`` are how often
its inputs and outputs are those of the base:

| grows | begins with | lr of SGD | lr of Adam | output | which ones |
|---|---|---|---|---|---|
| nothing | as base | 1 | 1 | 1 | output bias, embeddings of a fixed size |
| outputs | as base | o | 1 | 1 | embeddings, other biases, input weights of what does not grow |
| both | base / sqrt(i) | o / i | 1 / i | 1 | recurrent and other input weights, bridge, attention's matrices |
| inputs | as base | i | 1 | 1 / i | output weights, the weights of attention's scores |

A tied embedding is of the second row, with the output of the last one. The products of attention by dot products are
divided by i, too (their definition 4.1). A weight decay is divided by what multiplies the learning rate, so that what
one step takes of a parameter is the same at every width. In this form the norm of the whole gradient, which most
clipping rules look at, does not grow with the width.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gradstudy.models.model_shape import ModelShape, parameter_layout
from gradstudy.models.optimizer_settings import OptimizerName
from gradstudy.models.parameters import Parameter, ParameterLayout
from gradstudy.models.parametrization_names import is_by_size


@dataclass(frozen=True)
class Growth:
    """How often a parameter's inputs and outputs are those that it has at the base width."""

    inputs: float
    outputs: float

    @property
    def initial(self) -> float:
        """What its first values are multiplied by, from those of the base."""
        return 1 / math.sqrt(self.inputs) if self._both else 1.0

    def rate(self, *, by_size: bool) -> float:
        """What its learning rate is multiplied by; ``by_size`` is whether updates are as large as gradients."""
        if by_size:
            return self.outputs / self.inputs if self._both else self.outputs * self.inputs
        return 1 / self.inputs if self._both else 1.0

    @property
    def _both(self) -> bool:
        return self.inputs != 1 and self.outputs != 1


def growth(parameter: Parameter, of_base: Parameter) -> Growth:
    """How a parameter grew from the same one of a model of the base width."""
    if len(parameter.shape) == 1:
        return Growth(1.0, parameter.shape[0] / of_base.shape[0])
    return Growth(parameter.shape[0] / of_base.shape[0], parameter.shape[1] / of_base.shape[1])


def rate_scales(shape: ModelShape, layout: ParameterLayout, optimizer: OptimizerName, strategy: str) -> Tensor | None:
    """What the learning rate of each element is multiplied by, [P]; None in the standard parametrization.

    Args:
        shape: of the model.
        layout: of its parameters.
        optimizer: of the trial.
        strategy: by which it clips.
    """
    if shape.base is None:
        return None
    by_size = is_by_size(optimizer, strategy)
    scales = torch.ones(1, layout.size, dtype=torch.float64)
    for parameter, of_base in zip(layout.parameters, parameter_layout(shape.base).parameters, strict=True):
        parameter.view(scales).fill_(growth(parameter, of_base).rate(by_size=by_size))
    return scales[0]
