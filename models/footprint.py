"""How much memory a trial takes in an array, known before the array is made."""

import torch

from gradstudy.models.cell_names import Cell
from gradstudy.models.model_shape import GATES, ModelShape
from gradstudy.models.optimizer_settings import OptimizerName
from gradstudy.models.optimizers import OPTIMIZER_STATES
from gradstudy.models.parameters import ParameterLayout

_KEPT: dict[Cell, int] = {"lstm": 7, "gru": 5, "rnn_tanh": 2, "rnn_relu": 2, "dense": 2}
"""Numbers that a layer keeps for each hidden unit, sequence and step: gates, states."""

_COPIES = 4
"""Parameters, gradients, the gradients as they are computed, and one pass of a clipping rule over them."""


def bytes_per_trial(
    shape: ModelShape,
    layout: ParameterLayout,
    *,
    batch_size: int,
    source_steps: int,
    target_steps: int,
    optimizer: OptimizerName,
    dtype: torch.dtype,
) -> int:
    """An estimate, in bytes, of what one more trial adds to an array."""
    hidden, gates = shape.hidden_size, GATES[shape.cell] * shape.hidden_size
    both = source_steps + (target_steps if shape.decoder else 0)
    layers = shape.layers * both * _KEPT[shape.cell] * hidden
    projected = shape.layers if shape.source_features else shape.layers - 1
    between = projected * both * (3 * gates + 2 * hidden)
    output = target_steps * (2 * (shape.target_vocabulary or 3 * shape.target_features) + 3 * hidden)
    attention = target_steps * (3 * source_steps + 8 * hidden) if shape.attention else 0
    step = gates + 4 * hidden
    activations = batch_size * (layers + between + output + attention + step) * dtype.itemsize
    each = max(1, shape.source_features, shape.target_features)
    read = batch_size * (source_steps + target_steps) * each * 3 * torch.int64.itemsize
    parameters = layout.size * (_COPIES + OPTIMIZER_STATES[optimizer]) * max(dtype.itemsize, torch.float32.itemsize)
    return activations + read + parameters
