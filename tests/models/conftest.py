"""The independent truth: the same model built from torch's own layers, one trial at a time."""

from collections.abc import Callable
from functools import partial
from typing import Any

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
        self.shape = shape
        cell = LAYERS[shape.cell]
        hidden, memory = shape.hidden_size, shape.hidden_size * (1 + shape.bidirectional)
        options = {"num_layers": shape.layers, "batch_first": True}
        self.encoder_embedding = nn.Embedding(shape.source_vocabulary, shape.embedding_size)
        self.encoder = cell(shape.embedding_size, hidden, bidirectional=shape.bidirectional, **options)
        bound = hidden**-0.5
        shared = torch.empty(shape.target_vocabulary, hidden).uniform_(-bound, bound) if shape.tied else None
        self.decoder_embedding = nn.Embedding(shape.target_vocabulary, shape.embedding_size, _weight=shared)
        context = memory if shape.attention == "bahdanau" else 0
        self.decoder = cell(shape.embedding_size + context, hidden, **options)
        self.bridge = nn.ModuleDict()
        for layer in range(shape.layers if shape.bidirectional else 0):
            for kind in "hc" if shape.cell == "lstm" else "h":
                self.bridge[f"{kind}_l{layer}"] = nn.Linear(memory, hidden)
        if shape.attention == "bahdanau":
            sizes = {"query": (hidden, hidden), "key": (memory, hidden), "score": (hidden, 1)}
            self.attention = nn.ModuleDict({name: nn.Linear(*size, bias=False) for name, size in sizes.items()})
        elif shape.attention == "dot":
            self.attention = nn.Linear(memory + hidden, hidden, bias=False)
            if shape.bidirectional:
                self.attention.key = nn.Linear(memory, hidden, bias=False)
        self.output = nn.Module() if shape.tied else nn.Linear(hidden, shape.target_vocabulary)
        if shape.tied:
            self.output.bias = nn.Parameter(torch.empty(shape.target_vocabulary).uniform_(-bound, bound))

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        lengths = (source != PAD).sum(1)
        steps = int(lengths.max())
        at_front = torch.stack(
            [torch.roll(row, -(source.shape[1] - int(n))) for row, n in zip(source, lengths, strict=True)]
        )[:, :steps]
        packed = pack_padded_sequence(self.encoder_embedding(at_front), lengths, batch_first=True, enforce_sorted=False)
        packed, state = self.encoder(packed)
        memory, _ = nn.utils.rnn.pad_packed_sequence(packed, batch_first=True)
        if self.shape.bidirectional:
            state = self._bridged(state)
        absent = at_front == PAD
        begin = torch.full_like(target[:, :1], BEGIN)
        inputs = self.decoder_embedding(torch.cat([begin, target[:, :-1]], 1))
        if self.shape.attention == "bahdanau":
            hidden = self._decode_attending(inputs, state, memory, absent)
        else:
            hidden, _ = self.decoder(inputs, state)
        if self.shape.attention == "dot":
            keys = self.attention.key(memory) if self.shape.bidirectional else memory
            scores = hidden @ keys.transpose(1, 2) * self.shape.output_scale
            context = torch.softmax(scores.masked_fill(absent.unsqueeze(1), float("-inf")), 2) @ memory
            hidden = torch.tanh(self.attention(torch.cat([context, hidden], 2)))
        weight = self.decoder_embedding.weight if self.shape.tied else self.output.weight
        logits = nn.functional.linear(hidden * self.shape.output_scale, weight, self.output.bias)
        smoothing = self.shape.label_smoothing
        return nn.functional.cross_entropy(
            logits.flatten(0, 1), target.flatten(), ignore_index=PAD, label_smoothing=smoothing
        )

    def _bridged(self, state: Tensor | tuple[Tensor, Tensor]) -> Tensor | tuple[Tensor, Tensor]:
        """The decoder's first state by the last ones of torch: layer 0 forward, layer 0 backward, layer 1 forward..."""

        def mapped(kind: str, last: Tensor) -> Tensor:
            both = [torch.cat([last[2 * layer], last[2 * layer + 1]], 1) for layer in range(self.shape.layers)]
            return torch.stack([self.bridge[f"{kind}_l{layer}"](each) for layer, each in enumerate(both)])

        if isinstance(state, tuple):
            return mapped("h", state[0]).tanh(), mapped("c", state[1])
        return mapped("h", state).tanh()

    def _decode_attending(self, inputs: Tensor, state: Any, memory: Tensor, absent: Tensor) -> Tensor:
        """Step by step: each reads the context that the state before it finds."""
        outputs = []
        for step in inputs.unbind(1):
            query = (state[0] if isinstance(state, tuple) else state)[-1].unsqueeze(1)
            scores = self.attention["score"](torch.tanh(self.attention["query"](query) + self.attention["key"](memory)))
            scores = scores * self.shape.output_scale
            weights = torch.softmax(scores.squeeze(2).masked_fill(absent, float("-inf")), 1)
            context = torch.einsum("bs,bsm->bm", weights, memory)
            found, state = self.decoder(torch.cat([step, context], 1).unsqueeze(1), state)
            outputs.append(found)
        return torch.cat(outputs, 1)

    def flat(self, layout: ParameterLayout, what: Callable[[Tensor], Tensor | None] = lambda p: p.detach()) -> Tensor:
        """Parameters, or what ``what`` takes of them, as one row [P] of an array."""
        named = dict(self.named_parameters())
        row = torch.zeros(1, layout.size, dtype=self.output.bias.dtype)
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
