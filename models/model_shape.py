"""What the models of one array have in common: their sizes, their parameters, the form of their batches.

Shapes: K trials, B sequences a batch, S source positions, U target positions, F real values.
"""

from dataclasses import dataclass

from torch import Tensor

from gradstudy.models.cell_names import Cell
from gradstudy.models.gru import GATES as GRU_GATES
from gradstudy.models.loss_names import LossKind
from gradstudy.models.lstm import GATES as LSTM_GATES
from gradstudy.models.parameters import ParameterLayout
from gradstudy.models.rnn import GATES as RNN_GATES

GATES: dict[Cell, int] = {
    "lstm": LSTM_GATES,
    "gru": GRU_GATES,
    "rnn_tanh": RNN_GATES,
    "rnn_relu": RNN_GATES,
    "dense": 1,
}
PAD = 0
"""The symbol number that fills up short sequences."""
BEGIN = 1
"""The symbol number that the decoder reads first."""
END = 2
"""The symbol number that ends a target."""


@dataclass(frozen=True, kw_only=True)
class ModelShape:
    """What trials must have in common to share an array.

    Attributes:
        cell: of encoder and decoder; ``dense`` is relu(Wx + b), without recurrence and so without decoder.
        source_vocabulary: number of source symbols, with padding; 0 where sources are real values.
        target_vocabulary: number of target symbols, with padding, begin and end; 0 where targets are real values.
        source_features: real values at each source position; 0 where sources are symbols.
        target_features: real values at each target position, with a decoder as many as at a source position; 0 where
            targets are symbols.
        embedding_size: of source and target symbols.
        hidden_size: of each layer.
        layers: of the encoder, and as many of the decoder.
        decoder: whether a decoder unrolls the target; without one the output layer reads the encoder's last state,
            and a target is one symbol, of any number, or one vector.
        loss: cross_entropy for symbols; mse, mae or huber for real values.
        attention: whether the decoder attends to the encoder's outputs (dot product, Luong et al. 2015,
            arXiv 1508.04025, without input feeding).
        dropout: rate between layers and before the output layer.
        forget_bias: what the bias of an LSTM's forget gates begins with, in all layers; None as torch draws it.
    """

    cell: Cell
    source_vocabulary: int = 0
    target_vocabulary: int = 0
    source_features: int = 0
    target_features: int = 0
    embedding_size: int
    hidden_size: int
    layers: int = 1
    decoder: bool = True
    loss: LossKind = "cross_entropy"
    attention: bool = False
    dropout: float = 0.0
    forget_bias: float | None = None


@dataclass(frozen=True)
class TokenBatch:
    """One batch of symbol sequences of each trial.

    Attributes:
        source: symbol numbers, padded at the front, [K, B, S].
        target: symbol numbers, padded at the end, with the end symbol, [K, B, U].
    """

    source: Tensor
    target: Tensor


@dataclass(frozen=True)
class ValueBatch:
    """One batch of real-valued sequences of each trial.

    Attributes:
        source: [K, S, B, F].
        target: [K, U, B, F].
    """

    source: Tensor
    target: Tensor


Batch = TokenBatch | ValueBatch


def parameter_layout(shape: ModelShape) -> ParameterLayout:
    """The parameters of one model, named as in torch's modules."""
    hidden, gates = shape.hidden_size, GATES[shape.cell] * shape.hidden_size
    shapes: dict[str, tuple[tuple[int, ...], int | None]] = {}
    sides = [("encoder", shape.source_vocabulary, shape.source_features)]
    if shape.decoder:
        sides.append(("decoder", shape.target_vocabulary, shape.target_features))
    for side, vocabulary, features in sides:
        if not features:
            shapes[f"{side}_embedding.weight"] = ((vocabulary, shape.embedding_size), 0)
        for layer in range(shape.layers):
            inputs = hidden if layer else features or shape.embedding_size
            shapes[f"{side}.weight_ih_l{layer}"] = ((inputs, gates), 1)
            if shape.cell != "dense":
                shapes[f"{side}.weight_hh_l{layer}"] = ((hidden, gates), 1)
            shapes[f"{side}.bias_ih_l{layer}"] = ((gates,), None)
            if shape.cell != "dense":
                shapes[f"{side}.bias_hh_l{layer}"] = ((gates,), None)
    if shape.attention:
        shapes["attention.weight"] = ((2 * hidden, hidden), 1)
    outputs = shape.target_features or shape.target_vocabulary
    shapes["output.weight"] = ((hidden, outputs), 1)
    shapes["output.bias"] = ((outputs,), None)
    return ParameterLayout(shapes)
