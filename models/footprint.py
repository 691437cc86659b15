"""How much memory a trial takes in an array, known before the array is made. Does not import torch."""

from collections.abc import Callable

from gradstudy.models.attention_names import AttentionName
from gradstudy.models.cell_names import GATES, Cell
from gradstudy.models.model_shape import ModelShape
from gradstudy.models.optimizer_settings import OPTIMIZER_STATES, OptimizerName
from gradstudy.models.parameters import ParameterLayout

FLOAT32_BYTES = 4
SYMBOL_BYTES = 8
"""Of a symbol number, int64."""

_KEPT: dict[Cell, int] = {"lstm": 7, "gru": 5, "rnn_tanh": 2, "rnn_relu": 2, "dense": 2}
"""Numbers that a layer keeps for each hidden unit, sequence and step: gates, states."""

_ATTENDED: dict[AttentionName, Callable[[int, int], int]] = {
    "none": lambda source_steps, hidden: 0,
    "dot": lambda source_steps, hidden: 3 * source_steps + 10 * hidden,
    "bahdanau": lambda source_steps, hidden: 2 * source_steps * hidden + 16 * hidden,
}
"""Numbers that each target position of a sequence keeps, by the source positions and hidden units."""

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
    itemsize: int,
) -> int:
    """An estimate, in bytes, of what one more trial adds to an array; ``itemsize`` is of its precision, in bytes."""
    hidden, gates = shape.hidden_size, GATES[shape.cell] * shape.hidden_size
    read_steps = source_steps * (2 if shape.bidirectional else 1)
    both = read_steps + (target_steps if shape.decoder else 0)
    layers = shape.layers * both * _KEPT[shape.cell] * hidden
    projected = shape.layers if shape.source_features else shape.layers - 1
    between = projected * both * (3 * gates + 2 * hidden)
    output = target_steps * (2 * (shape.target_vocabulary or 3 * shape.target_features) + 3 * hidden)
    turned = 4 * shape.layers * source_steps * hidden if shape.bidirectional else 0
    attention = _ATTENDED[shape.attention](source_steps, hidden) * target_steps
    step = gates + 4 * hidden
    activations = batch_size * (layers + between + turned + output + attention + step) * itemsize
    each = max(1, shape.source_features, shape.target_features)
    read = batch_size * (source_steps + target_steps) * each * 3 * SYMBOL_BYTES
    kept = _COPIES + OPTIMIZER_STATES[optimizer] + (1 if shape.base else 0)
    parameters = layout.size * kept * max(itemsize, FLOAT32_BYTES)
    return activations + read + parameters
