"""What the models of one array have in common: their sizes, their parameters, the form of their batches.

Does not import torch. Shapes: K trials, B sequences a batch, S source positions, U target positions, F real values.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gradstudy.models.attention_names import AttentionName
from gradstudy.models.cell_names import GATES, Cell
from gradstudy.models.loss_names import LossKind
from gradstudy.models.parameters import ParameterLayout

if TYPE_CHECKING:
    from torch import Tensor

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
        label_smoothing: the share of a target that is spread evenly over all symbols in training (Szegedy et al. 2016,
            arXiv 1512.00567), as in torch's cross_entropy.
        bidirectional: whether the encoder reads the source in both directions, in layers of as many hidden units each;
            see ``EncoderDecoder`` for where its last states go.
        attention: how the decoder attends to the encoder's outputs, see ``models.attention``.
        tied: whether the decoder's embedding is the weight of the output layer (Press and Wolf 2017,
            arXiv 1608.05859); the embedding size is then the hidden size.
        dropout: rate between layers and before the output layer.
        forget_bias: what the bias of an LSTM's forget gates begins with, in all layers; None as torch draws it.
        base: the same model at the base width of the maximal update parametrization, see ``models.parametrization``;
            None in the standard one.
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
    label_smoothing: float = 0.0
    bidirectional: bool = False
    attention: AttentionName = "none"
    tied: bool = False
    dropout: float = 0.0
    forget_bias: float | None = None
    base: "ModelShape | None" = None

    @property
    def output_scale(self) -> float:
        """What the output layer and the scores of attention are multiplied by: 1 over the growth of the width."""
        return 1.0 if self.base is None else self.base.hidden_size / self.hidden_size

    @property
    def memory_size(self) -> int:
        """The width of the encoder's outputs, M: those of its directions side by side."""
        return self.hidden_size * (2 if self.bidirectional else 1)

    @property
    def output_inputs(self) -> int:
        """The width of what the output layer reads: the decoder's states, or without one the encoder's last ones."""
        return self.hidden_size if self.decoder else self.memory_size


@dataclass(frozen=True)
class TokenBatch:
    """One batch of symbol sequences of each trial.

    Attributes:
        source: symbol numbers, padded at the front, [K, B, S].
        target: symbol numbers, padded at the end, with the end symbol, [K, B, U].
    """

    source: "Tensor"
    target: "Tensor"


@dataclass(frozen=True)
class ValueBatch:
    """One batch of real-valued sequences of each trial.

    Attributes:
        source: [K, S, B, F].
        target: [K, U, B, F].
    """

    source: "Tensor"
    target: "Tensor"


Batch = TokenBatch | ValueBatch


def parameter_layout(shape: ModelShape) -> ParameterLayout:
    """The parameters of one model, named as in torch's modules."""
    shapes: dict[str, tuple[tuple[int, ...], int | None]] = {}
    if not shape.source_features:
        shapes["encoder_embedding.weight"] = ((shape.source_vocabulary, shape.embedding_size), 0)
    directions = ("", "_reverse") if shape.bidirectional else ("",)
    shapes |= _layers(shape, "encoder", shape.source_features or shape.embedding_size, directions)
    if shape.decoder:
        if not shape.target_features:
            shapes["decoder_embedding.weight"] = ((shape.target_vocabulary, shape.embedding_size), 0)
        context = shape.memory_size if shape.attention == "bahdanau" else 0
        shapes |= _layers(shape, "decoder", (shape.target_features or shape.embedding_size) + context, ("",))
    hidden, memory = shape.hidden_size, shape.memory_size
    if shape.decoder and shape.bidirectional:
        for layer in range(shape.layers):
            for state in ("h", "c") if shape.cell == "lstm" else ("h",):
                shapes[f"bridge.{state}_l{layer}.weight"] = ((memory, hidden), 1)
                shapes[f"bridge.{state}_l{layer}.bias"] = ((hidden,), None)
    if shape.attention == "bahdanau":
        shapes["attention.query.weight"] = ((hidden, hidden), 1)
        shapes["attention.key.weight"] = ((memory, hidden), 1)
        shapes["attention.score.weight"] = ((hidden, 1), 1)
    if shape.attention == "dot":
        shapes["attention.weight"] = ((memory + hidden, hidden), 1)
        if shape.bidirectional:
            shapes["attention.key.weight"] = ((memory, hidden), 1)
    outputs = shape.target_features or shape.target_vocabulary
    if not shape.tied:
        shapes["output.weight"] = ((shape.output_inputs, outputs), 1)
    shapes["output.bias"] = ((outputs,), None)
    return ParameterLayout(shapes)


def _layers(
    shape: ModelShape, side: str, inputs: int, directions: tuple[str, ...]
) -> dict[str, tuple[tuple[int, ...], int | None]]:
    """The parameters of one side's layers, whose first one reads ``inputs`` numbers."""
    hidden, gates = shape.hidden_size, GATES[shape.cell] * shape.hidden_size
    shapes: dict[str, tuple[tuple[int, ...], int | None]] = {}
    for layer in range(shape.layers):
        for direction in directions:
            below = len(directions) * hidden if layer else inputs
            shapes[f"{side}.weight_ih_l{layer}{direction}"] = ((below, gates), 1)
            if shape.cell != "dense":
                shapes[f"{side}.weight_hh_l{layer}{direction}"] = ((hidden, gates), 1)
            shapes[f"{side}.bias_ih_l{layer}{direction}"] = ((gates,), None)
            if shape.cell != "dense":
                shapes[f"{side}.bias_hh_l{layer}{direction}"] = ((gates,), None)
    return shapes
