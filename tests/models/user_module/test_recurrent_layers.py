"""Torch's recurrent layers under ``vmap`` beside themselves, one model at a time, in float64."""

import re

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, vmap
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from gradstudy.models.dropout import dropout
from gradstudy.models.user_module import recurrent
from gradstudy.models.user_module.draws.keyed_mode import KeyedMode
from gradstudy.models.user_module.draws.keyed_random import dropout_masks
from gradstudy.models.user_module.recurrent import BatchedLayers

TRIALS, STEPS, BATCH, INPUTS, HIDDEN = 3, 6, 4, 5, 6
KEYS = torch.arange(TRIALS) << 32
CELLS = {nn.LSTM: nn.LSTMCell, nn.GRU: nn.GRUCell, nn.RNN: nn.RNNCell}


def close(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


class Net(nn.Module):
    """One layer of torch's and what may be done with it."""

    def __init__(self, layer, **options):
        super().__init__()
        self.layer = layer(INPUTS, HIDDEN, **options)
        self.directions = (1 + self.layer.bidirectional) * self.layer.num_layers
        self.state = self.layer.proj_size or HIDDEN
        self.output = nn.Linear(self.state * (1 + self.layer.bidirectional), INPUTS)
        self.cell = CELLS[layer](INPUTS, HIDDEN, bias=self.layer.bias)
        self.first = nn.Parameter(torch.randn(self.directions, 1, self.state))

    def initial(self, batch):
        h = self.first.expand(-1, batch, -1)
        return (h, h[:, :, :1].expand(-1, -1, HIDDEN)) if isinstance(self.layer, nn.LSTM) else h

    def run(self, x, state):
        x, state = self.layer(x.transpose(0, 1) if self.layer.batch_first else x, state)
        return x.transpose(0, 1) if self.layer.batch_first else x, state


def squares(states):
    return sum((state**2).sum() for state in (states if isinstance(states, tuple) else (states,)))


class Decoding(Net):
    """Runs a sequence, then a loop of single steps that goes on from its state, then a loop of cells."""

    def forward(self, x):
        outputs, state = self.run(x, None)
        loss, x = outputs.sin().sum(), self.output(outputs[-1:])
        for number in range(3):
            outputs, state = self.run(x, state if number != 1 else self.initial(BATCH))
            x = self.output(outputs)
            loss = loss + (x**2).sum()
        of_cell = self.cell(x[0])
        of_cell = self.cell(x[0] * 2, of_cell)
        return loss + squares(state) + squares(of_cell)


class Packing(Net):
    """Packs a batch and takes of the result all that there is."""

    def __init__(self, layer, *, is_sorted, **options):
        super().__init__(layer, **options)
        self.embedding, self.scores = nn.Embedding(9, INPUTS), nn.Linear(self.output.in_features, 9)
        self.is_sorted = is_sorted

    def pack(self, x, lengths):
        first = self.layer.batch_first
        return pack_padded_sequence(x.transpose(0, 1) if first else x, lengths.cpu(), first, self.is_sorted)

    def forward(self, words, lengths):
        packed, state = self.layer(self.pack(self.embedding(words), lengths), self.initial(BATCH))
        padded, ends = pad_packed_sequence(packed, self.layer.batch_first, 0.5, STEPS + 1)
        targets = pack_padded_sequence(words, lengths.cpu(), enforce_sorted=self.is_sorted).data
        loss = nn.functional.cross_entropy(self.scores(packed.data), targets)
        return loss + padded.sin().sum() + squares(state) + (ends * torch.arange(BATCH)).sum()


def compare(nets, *given):
    """Losses and gradients of models in a batch with those of each alone, with the same masks."""
    names = dict(nets[0].named_parameters())
    stacked = {name: torch.stack([dict(net.named_parameters())[name].detach() for net in nets]) for name in names}

    def loss(parameters, key, *of_one):
        with BatchedLayers(key):
            return functional_call(nets[0], parameters, of_one)

    expected, of_parameters = [], []
    for net, key, *of_one in zip(nets, KEYS, *given, strict=True):
        with KeyedMode(key):
            alone = net(*of_one)
        of_parameters.append(torch.autograd.grad(alone, list(net.parameters()), materialize_grads=True))
        expected.append(alone.detach())
    gradients = [torch.stack(parts) for parts in zip(*of_parameters, strict=True)]
    trained = {name: tensor.requires_grad_() for name, tensor in stacked.items()}
    losses = vmap(loss)(trained, KEYS, *given)
    close(losses.detach(), torch.stack(expected))
    found = torch.autograd.grad(losses.sum(), list(trained.values()), materialize_grads=True)
    close(list(found), gradients)
    by_function = vmap(grad(loss))({name: tensor.detach() for name, tensor in stacked.items()}, KEYS, *given)
    close(list(by_function.values()), gradients)


@pytest.fixture(autouse=True)
def _double():
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    yield
    torch.set_default_dtype(torch.float32)


OPTIONS = [
    {},
    {"num_layers": 2, "bidirectional": True, "dropout": 0.4},
    {"num_layers": 3, "batch_first": True, "bias": False, "dropout": 0.5},
]
LAYERS = [(layer, options) for layer in CELLS for options in OPTIONS] + [
    (nn.LSTM, {"proj_size": 3}),
    (nn.LSTM, {"proj_size": 2, "num_layers": 2, "bidirectional": True, "batch_first": True}),
    (nn.RNN, {"nonlinearity": "relu", "bidirectional": True}),
]


@pytest.mark.parametrize(("layer", "options"), LAYERS)
def test_a_decoder_in_a_batch_is_each_of_its_models_alone(layer, options):
    compare([Decoding(layer, **options) for _ in range(TRIALS)], torch.randn(TRIALS, STEPS, BATCH, INPUTS))


class Wasting(Net):
    """Calls layer and cell without gradients first, and once more than it uses; what it wastes is not finite."""

    def forward(self, x):
        with torch.no_grad():
            self.run(x / 0, None)
            guess, _ = self.run(x, None)
            self.cell(x[0] / 0)
        outputs, state = self.run(x, None)
        of_cell, loss = self.cell(x[0]), outputs.sin().sum() + guess.sum()
        for t in range(STEPS):
            of_cells = of_cell[0] if isinstance(of_cell, tuple) else of_cell
            loss = loss + (of_cells**2).sum() + (outputs**2).sum()
            outputs, state = self.run(x[t : t + 1], state)
            of_cell = self.cell(x[t] if t < STEPS - 1 else x[t] / 0, of_cell)
        return loss


@pytest.mark.parametrize(("layer", "options"), LAYERS)
def test_a_call_that_has_no_part_in_the_loss_has_none_in_the_gradients(layer, options):
    compare([Wasting(layer, **options) for _ in range(TRIALS)], torch.randn(TRIALS, STEPS, BATCH, INPUTS))


@pytest.mark.parametrize("is_sorted", [True, False])
@pytest.mark.parametrize(("layer", "options"), LAYERS)
def test_packed_sequences_of_different_lengths_are_those_of_each_model_alone(layer, options, is_sorted):
    lengths = torch.stack([torch.cat([torch.tensor([STEPS]), torch.randint(1, STEPS + 1, (3,))]) for _ in KEYS])
    lengths = lengths.sort(1, descending=True).values if is_sorted else lengths.flip(1)
    nets = [Packing(layer, is_sorted=is_sorted, **options) for _ in range(TRIALS)]
    compare(nets, torch.randint(9, (TRIALS, STEPS, BATCH)), lengths)


class Misusing(Packing):
    """Does something with packed rows that has another meaning for padded ones."""

    def __init__(self, what):
        super().__init__(nn.GRU, is_sorted=False)
        self.what = what

    def forward(self, words, lengths):
        packed = self.pack(self.embedding(words), lengths)
        return self.what(packed, self.layer).sum()


@pytest.mark.parametrize(
    "what",
    [
        lambda packed, layer: packed.data.mean(),
        lambda packed, layer: packed.data.sum(),
        lambda packed, layer: layer(packed)[0].data[-1],
        lambda packed, layer: packed.data.softmax(0),
        lambda packed, layer: packed.data / len(packed.data),
        lambda packed, layer: packed.data * packed.data,
        lambda packed, layer: sum(packed.data[:size].mean() for size in packed.batch_sizes),
        lambda packed, layer: layer(PackedSequence(packed.data.relu(), packed.batch_sizes[:2]))[0].data,
        lambda packed, layer: nn.functional.dropout(packed.data),
        lambda packed, layer: nn.functional.cross_entropy(packed.data, packed.data.long()[:, 0]),
    ],
)
def test_what_would_take_padding_for_data_is_refused(what):
    net = Misusing(what)
    lengths = torch.tensor([[4, 3, 2, 6], [6, 6, 1, 1]])
    parameters = {name: torch.stack([p.detach()] * 2) for name, p in net.named_parameters()}

    def loss(parameters, key, lengths):
        with BatchedLayers(key):
            return functional_call(net, parameters, (torch.ones(STEPS, BATCH, dtype=torch.int64), lengths))

    with pytest.raises(RuntimeError, match="packed"):
        vmap(loss)(parameters, KEYS[:2], lengths)


def test_batches_whose_longest_sequences_differ_are_refused():
    net = Packing(nn.GRU, is_sorted=True)
    parameters = {name: torch.stack([p.detach()] * 2) for name, p in net.named_parameters()}

    def loss(parameters, key, lengths):
        with BatchedLayers(key):
            return functional_call(net, parameters, (torch.ones(STEPS, BATCH, dtype=torch.int64), lengths))

    with pytest.raises(RuntimeError, match="longest sequences of its batches differ in length"):
        vmap(loss)(parameters, KEYS[:2], torch.tensor([[4, 3, 2, 1], [6, 6, 1, 1]]))
    with pytest.raises(RuntimeError, match="lengths of packed sequences must fall"):
        vmap(loss)(parameters, KEYS[:2], torch.tensor([[4, 3, 2, 3], [4, 4, 1, 1]]))


def test_weights_that_change_between_two_calls_are_another_tape():
    class Changing(Net):
        def forward(self, x):
            outputs, _ = self.run(x, None)
            half = {name: weight / 2 for name, weight in self.layer.named_parameters()}
            return outputs.sin().sum() + functional_call(self.layer, half, (x,))[0].sum()

    compare([Changing(nn.GRU) for _ in range(TRIALS)], torch.randn(TRIALS, STEPS, BATCH, INPUTS))


def test_a_second_backward_pass_is_refused_as_torch_refuses_it():
    net = nn.LSTM(INPUTS, HIDDEN)
    parameters = {name: torch.stack([p.detach()] * 2).requires_grad_() for name, p in net.named_parameters()}

    def loss(parameters, x):
        with BatchedLayers():
            return functional_call(net, parameters, (x,))[0].sum()

    losses = vmap(loss, in_dims=(0, None))(parameters, torch.randn(STEPS, BATCH, INPUTS))
    losses.sum().backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="a backward pass through this forward pass has been made"):
        losses.sum().backward()


def test_the_example_of_the_documentation_trains():
    torch.set_default_dtype(torch.float32)

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.dropout = nn.LSTM(INPUTS, HIDDEN, 2, dropout=0.5), nn.Dropout()

        def forward(self, x):
            return self.dropout(self.layer(x)[0])

    lines = re.findall("^    (.*)$|^$", recurrent.__doc__, re.MULTILINE)
    names = {"torch": torch, "Model": Model, "BatchedLayers": BatchedLayers, "x": torch.randn(STEPS, BATCH, INPUTS)}
    exec("\n".join(lines), names)
    assert all(parameter.grad.flatten(1).any(1).all() for parameter in names["parameters"].values())
    assert len(names["losses"].unique()) == 16


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("rate", [0.1, 0.7])
def test_compiled_masks_are_those_of_the_built_in_models(rate, dtype):
    keys = torch.tensor([0, 1 << 32, -5, (1 << 63) - 1])
    for draw in (0, 3):
        ones = torch.ones(4, 1, 1, 105, dtype=dtype)
        expected = dropout(ones, rate, keys, torch.zeros(1, dtype=torch.int64), draw)
        assert torch.equal(dropout_masks(keys, draw, (3, 5, 7), rate, dtype), expected.view(4, 3, 5, 7))
