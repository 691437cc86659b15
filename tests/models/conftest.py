"""The independent truth: the same model built from torch's own layers, one trial at a time."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from gradstudy.models.model_shape import BEGIN, PAD, ModelShape
from gradstudy.models.parameters import ParameterLayout

LAYERS: dict[str, Callable[..., nn.RNNBase]] = {
    "lstm": nn.LSTM,
    "gru": nn.GRU,
    "rnn_tanh": partial(nn.RNN, nonlinearity="tanh"),
    "rnn_relu": partial(nn.RNN, nonlinearity="relu"),
}


class TorchSeq2Seq(nn.Module):
    """An encoder-decoder of torch's own layers; sources are padded at the front as in a TokenBatch."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        layer = LAYERS[shape.cell]
        sizes = (shape.embedding_size, shape.hidden_size, shape.layers)
        self.encoder_embedding = nn.Embedding(shape.source_vocabulary, shape.embedding_size)
        self.encoder = layer(*sizes, batch_first=True)
        self.decoder_embedding = nn.Embedding(shape.target_vocabulary, shape.embedding_size)
        self.decoder = layer(*sizes, batch_first=True)
        if shape.attention:
            self.attention = nn.Linear(2 * shape.hidden_size, shape.hidden_size, bias=False)
        self.output = nn.Linear(shape.hidden_size, shape.target_vocabulary)
        self.attends = shape.attention

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        lengths = (source != PAD).sum(1)
        steps = int(lengths.max())
        at_front = torch.stack(
            [torch.roll(row, -(source.shape[1] - int(n))) for row, n in zip(source, lengths, strict=True)]
        )[:, :steps]
        packed = pack_padded_sequence(self.encoder_embedding(at_front), lengths, batch_first=True, enforce_sorted=False)
        memory, state = self.encoder(packed)
        begin = torch.full_like(target[:, :1], BEGIN)
        hidden, _ = self.decoder(self.decoder_embedding(torch.cat([begin, target[:, :-1]], 1)), state)
        if self.attends:
            memory, _ = nn.utils.rnn.pad_packed_sequence(memory, batch_first=True)
            scores = hidden @ memory.transpose(1, 2)
            scores = scores.masked_fill((at_front == PAD).unsqueeze(1), float("-inf"))
            context = torch.softmax(scores, 2) @ memory
            hidden = torch.tanh(self.attention(torch.cat([context, hidden], 2)))
        logits = self.output(hidden)
        return nn.functional.cross_entropy(logits.flatten(0, 1), target.flatten(), ignore_index=PAD)

    def flat(self, layout: ParameterLayout, what: Callable[[Tensor], Tensor | None] = lambda p: p.detach()) -> Tensor:
        """Parameters, or what ``what`` takes of them, as one row [P] of an array."""
        named = dict(self.named_parameters())
        row = torch.zeros(1, layout.size, dtype=self.output.weight.dtype)
        for parameter in layout.parameters:
            value = what(named[parameter.name])
            if value is not None:
                parameter.view(row)[0] = value.T if parameter.unit_axis == 1 else value
        return row[0]


@pytest.fixture
def torch_model() -> Callable[[ModelShape, int, torch.dtype], TorchSeq2Seq]:
    def build(shape: ModelShape, seed: int, dtype: torch.dtype) -> TorchSeq2Seq:
        torch.manual_seed(seed)
        return TorchSeq2Seq(shape).to(dtype)

    return build


@pytest.fixture
def token_batch() -> Callable[[ModelShape, int, int], tuple[Tensor, Tensor]]:
    """Random sequences of different lengths: source [K, B, S] padded at the front, target [K, B, U] at the end."""

    def draw(shape: ModelShape, trials: int, batch: int) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(1)
        source = torch.randint(1, shape.source_vocabulary, (trials, batch, 7), generator=generator)
        target = torch.randint(2, shape.target_vocabulary, (trials, batch, 5), generator=generator)
        source_length = torch.randint(1, 8, (trials, batch, 1), generator=generator)
        target_length = torch.randint(1, 6, (trials, batch, 1), generator=generator)
        source[torch.arange(7, 0, -1) > source_length] = PAD
        target[torch.arange(5) >= target_length] = PAD
        return source, target

    return draw


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Small products are slower on two threads, and test processes run side by side."""
    torch.set_num_threads(1)
