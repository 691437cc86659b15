"""Models of real values, and models without a decoder, against the same models of torch's own layers."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from gradstudy.models.array import INITIAL_BATCHES, TrainingRun, TrialArray
from gradstudy.models.model_shape import ModelShape, TokenBatch, ValueBatch
from gradstudy.models.optimizer_settings import OptimizerSettings
from gradstudy.models.schedules import Schedule
from gradstudy.models.seq2seq import EncoderDecoder
from gradstudy.models.tasks import load_task
from gradstudy.models.tasks.batches import TrialBatches
from gradstudy.models.workspace import Workspace

LOSSES = {"mse": nn.MSELoss(), "mae": nn.L1Loss(), "huber": nn.HuberLoss(), "cross_entropy": nn.CrossEntropyLoss()}


class TorchModel(nn.Module):
    """Forecasts with teacher forcing, or answers from the encoder's last state; parameters named as in the layout."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        layer = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn_tanh": nn.RNN}[shape.cell]
        self.shape = shape
        if not shape.source_features:
            self.encoder_embedding = nn.Embedding(shape.source_vocabulary, shape.embedding_size)
        inputs, hidden, both = shape.source_features or shape.embedding_size, shape.hidden_size, shape.bidirectional
        self.encoder = layer(inputs, hidden, shape.layers, batch_first=True, bidirectional=both)
        memory = 2 * hidden if both else hidden
        if shape.decoder:
            context = memory if shape.attention == "bahdanau" else 0
            self.decoder = layer(shape.target_features + context, hidden, shape.layers, batch_first=True)
            if both:
                self.bridge = nn.ModuleDict({"h_l0": nn.Linear(memory, hidden)})
                if shape.cell == "lstm":
                    self.bridge["c_l0"] = nn.Linear(memory, hidden)
        if shape.attention == "dot":
            self.attention = nn.Linear(2 * hidden, hidden, bias=False)
        if shape.attention == "bahdanau":
            sizes = {"query": (hidden, hidden), "key": (memory, hidden), "score": (hidden, 1)}
            self.attention = nn.ModuleDict({name: nn.Linear(*size, bias=False) for name, size in sizes.items()})
        self.output = nn.Linear(hidden if shape.decoder else memory, shape.target_features or shape.target_vocabulary)

    def forward(self, source, target):
        """Source [B, S, F] or [B, S], target [B, U, G] or [B, 1]."""
        memory, state = self.encoder(source if self.shape.source_features else self.encoder_embedding(source))
        hidden = memory[:, -1:]
        if self.shape.bidirectional and not self.shape.decoder:
            last = state[0] if self.shape.cell == "lstm" else state
            hidden = torch.cat([last[-2], last[-1]], 1).unsqueeze(1)
        elif self.shape.bidirectional:  # of one layer
            of_lstm = self.shape.cell == "lstm"
            h, *c = [torch.cat(list(each), 1) for each in (state if of_lstm else [state])]
            state = torch.tanh(self.bridge["h_l0"](h))[None]
            state = (state, self.bridge["c_l0"](c[0])[None]) if of_lstm else state
        if self.shape.decoder:
            inputs = torch.cat([source[:, -1:], target[:, :-1]], 1)
            if self.shape.attention == "bahdanau":
                hidden = self._attending(inputs, state, memory)
            else:
                hidden, _ = self.decoder(inputs, state)
        if self.shape.attention == "dot":
            context = torch.softmax(hidden @ memory.transpose(1, 2), 2) @ memory
            hidden = torch.tanh(self.attention(torch.cat([context, hidden], 2)))
        answer = self.output(hidden)
        if self.shape.loss == "cross_entropy":
            return LOSSES["cross_entropy"](answer.flatten(0, 1), target.flatten())
        return LOSSES[self.shape.loss](answer, target)

    def _attending(self, inputs, state, memory):
        steps = []
        for step in inputs.split(1, 1):
            query = (state[0] if self.shape.cell == "lstm" else state)[-1].unsqueeze(1)
            scores = self.attention["score"](torch.tanh(self.attention["query"](query) + self.attention["key"](memory)))
            context = (torch.softmax(scores, 1) * memory).sum(1, keepdim=True)
            hidden, state = self.decoder(torch.cat([step, context], 2), state)
            steps.append(hidden)
        return torch.cat(steps, 1)


class TorchDense(nn.Module):
    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        sizes = [shape.source_features] + shape.layers * [shape.hidden_size]
        self.layers = nn.ModuleList(nn.Linear(*size) for size in pairwise(sizes))
        self.output = nn.Linear(shape.hidden_size, shape.target_features)
        self.shape = shape

    def forward(self, source, target):
        outputs = source
        for layer in self.layers:
            outputs = torch.relu(layer(outputs))
        return LOSSES[self.shape.loss](self.output(outputs), target)

    def named_parameters(self, *args, **kwargs):
        for name, parameter in super().named_parameters(*args, **kwargs):
            _, number, kind = name.split(".") if name.startswith("layers") else ("", "", "")
            yield f"encoder.{kind}_ih_l{number}" if kind else name, parameter


def torch_model(shape, seed):
    torch.manual_seed(seed)
    return (TorchDense if shape.cell == "dense" else TorchModel)(shape).double()


def row_of(module, layout, what=lambda parameter: parameter.detach()):
    """What ``what`` takes of each parameter, as one row [P] of an array."""
    named, row = dict(module.named_parameters()), torch.zeros(1, layout.size, dtype=torch.float64)
    assert named.keys() == {parameter.name for parameter in layout.parameters}
    for parameter in layout.parameters:
        value = what(named[parameter.name])
        parameter.view(row)[0] = value.T if parameter.unit_axis == 1 else value
    return row[0]


def shaped(cell, loss="mse", **options):
    sizes = {"source_features": 3, "target_features": 3, "embedding_size": 5, "hidden_size": 6}
    return ModelShape(cell=cell, loss=loss, **(sizes | options))


CELL_NAMES = ("lstm", "gru", "rnn_tanh")
VALUE_SHAPES = {
    **{f"{cell}-{loss}": shaped(cell, loss) for cell in CELL_NAMES for loss in ("mse", "mae", "huber")},
    **{f"{cell}-2-layers-attention": shaped(cell, layers=2, attention="dot") for cell in CELL_NAMES},
    **{
        f"{cell}-no-decoder": shaped(cell, "huber", decoder=False, target_features=2, layers=2)
        for cell in ("lstm", "gru", "rnn_tanh", "dense")
    },
    **{f"{cell}-bidirectional-bahdanau": shaped(cell, bidirectional=True, attention="bahdanau") for cell in CELL_NAMES},
    **{
        f"{cell}-bidirectional-no-decoder": shaped(cell, decoder=False, bidirectional=True, target_features=2, layers=2)
        for cell in CELL_NAMES
    },
}


def draw_batch(shape, trials, scale=3.0):
    generator = torch.Generator().manual_seed(1)
    source_steps = 1 if shape.cell == "dense" else 7
    source = torch.randn(trials, source_steps, 9, shape.source_features, generator=generator, dtype=torch.float64)
    target_steps = 5 if shape.decoder else 1
    target = torch.randn(trials, target_steps, 9, shape.target_features, generator=generator, dtype=torch.float64)
    return ValueBatch(scale * source, scale * target)


def make(shape, dtype=torch.float64):
    return EncoderDecoder(shape, Workspace(dtype, torch.device("cpu")))


def loss_and_gradients(model, rows, batch):
    views = {name: view.requires_grad_() for name, view in model.layout.views(rows).items()}
    loss = model.loss(views, batch)
    gradients = torch.zeros_like(rows)
    for name, gradient in zip(views, torch.autograd.grad(loss.sum(), list(views.values())), strict=True):
        model.layout.views(gradients)[name].copy_(gradient)
    return loss.detach(), gradients


@pytest.mark.parametrize("trials", [1, 5])
@pytest.mark.parametrize("shape", VALUE_SHAPES.values(), ids=VALUE_SHAPES)
def test_loss_and_every_gradient_equal_torchs_layers_and_losses(shape, trials):
    model = make(shape)
    references = [torch_model(shape, seed) for seed in range(trials)]
    rows = torch.stack([row_of(reference, model.layout) for reference in references])
    batch = draw_batch(shape, trials)
    loss, gradients = loss_and_gradients(model, rows, batch)
    for k, reference in enumerate(references):
        expected = reference(batch.source[k].transpose(0, 1), batch.target[k].transpose(0, 1))
        expected.backward()
        torch.testing.assert_close(loss[k], expected.detach(), rtol=1e-12, atol=1e-12)
        of_reference = row_of(reference, model.layout, lambda parameter: parameter.grad)
        torch.testing.assert_close(gradients[k], of_reference, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn_tanh"])
def test_symbols_without_a_decoder_equal_torchs_layers_and_every_class_counts(cell):
    sizes = {"source_features": 0, "target_features": 0, "source_vocabulary": 9, "target_vocabulary": 4}
    shape = shaped(cell, "cross_entropy", decoder=False, **sizes)
    model, references = make(shape), [torch_model(shape, seed) for seed in range(3)]
    rows = torch.stack([row_of(reference, model.layout) for reference in references])
    source = torch.randint(1, 9, (3, 8, 7), generator=torch.Generator().manual_seed(0))
    target = torch.arange(8).remainder(4).expand(3, 8).unsqueeze(2)
    loss, gradients = loss_and_gradients(model, rows, TokenBatch(source, target))
    for k, reference in enumerate(references):
        expected = reference(source[k], target[k])
        expected.backward()
        torch.testing.assert_close(loss[k], expected.detach(), rtol=1e-12, atol=1e-12)
        of_reference = row_of(reference, model.layout, lambda parameter: parameter.grad)
        torch.testing.assert_close(gradients[k], of_reference, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", ["lstm-mse", "gru-huber", "lstm-no-decoder", "gru-no-decoder", "dense-no-decoder"])
def test_gradients_are_those_of_finite_differences(name):
    shape = VALUE_SHAPES[name]
    model = make(shape)
    rows = torch.stack([model.initialize(seed, torch.float64) for seed in range(2)])
    batch = draw_batch(shape, 2)
    _, gradients = loss_and_gradients(model, rows.clone(), batch)
    direction = torch.randn(rows.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    step = 1e-5
    with torch.no_grad():
        ahead, behind = (model.loss(model.layout.views(rows + sign * step * direction), batch) for sign in (1, -1))
    torch.testing.assert_close((gradients * direction).sum(1), (ahead - behind) / (2 * step), rtol=1e-7, atol=1e-8)


def test_recurrent_parameters_begin_as_torchs_do():
    shape = VALUE_SHAPES["gru-mse"]
    torch.manual_seed(5)
    expected = row_of(TorchModel(shape).double(), make(shape).layout)
    torch.testing.assert_close(make(shape).initialize(5, torch.float32).double(), expected, rtol=1e-6, atol=1e-7)


def test_a_dense_model_begins_as_keras_with_he_uniform():
    shape = ModelShape(
        cell="dense", source_features=400, target_features=40, embedding_size=1, hidden_size=300, decoder=False
    )
    model = make(shape)
    views = model.layout.views(model.initialize(0, torch.float64).unsqueeze(0))
    for name, variance in (("encoder.weight_ih_l0", 2 / 400), ("output.weight", 2 / 340)):
        assert views[name].var().item() == pytest.approx(variance, rel=0.03)
        assert views[name].abs().max().item() <= math.sqrt(3 * variance)
    assert not views["encoder.bias_ih_l0"].any()
    assert not views["output.bias"].any()


CELLS = {"adding": "lstm", "sunspots": "gru", "temporal_order": "gru", "regression": "dense"}
OPTIONS = {"adding": {"length": 12, "examples": 100}, "temporal_order": {"length": 12, "examples": 100}}


def array_for(task, slots, dtype=torch.float64, **options):
    data = load_task(task, **OPTIONS.get(task, {}))
    loss = "cross_entropy" if task == "temporal_order" else options.pop("loss", "huber")
    sizes = data.sizes | {"embedding_size": 5, "hidden_size": 6, "decoder": data.decoder, "loss": loss} | options
    shape = ModelShape(cell=CELLS[task], **sizes)
    workspace = Workspace(dtype, torch.device("cpu"))
    return TrialArray(
        shape,
        data,
        slots=slots,
        batch_size=8,
        optimizer=OptimizerSettings(),
        schedule=Schedule("constant", 100),
        workspace=workspace,
    ), data


def run(seed, strategy="norm", threshold=0.5):
    return TrainingRun(seed=seed, strategy=strategy, threshold=threshold, learning_rate=0.1)


@pytest.mark.parametrize("task", ["adding", "sunspots", "temporal_order", "regression"])
def test_training_equals_torchs_loop(task):
    array, data = array_for(task, slots=3)
    for seed in range(3):
        array.admit(run(seed))
    start = array.parameters.clone()
    initial, validation = array.initial_losses(2), array.validation_loss(2)
    telemetry = array.train(30)
    for slot in range(3):
        model = torch_model(array.model.shape, 0)
        views = array.model.layout.views(start[slot : slot + 1])
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.copy_(views[name][0].T if parameter.ndim == 2 and "embedding" not in name else views[name][0])
        batches = TrialBatches(data, 1, 8)
        batches.admit(0, slot)
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        if slot == 2:
            held_out = batches.validation(256)
            assert validation == pytest.approx(loss_of(model, held_out).item(), rel=1e-12)
            first = [loss_of(model, batches.batch(np.array([step]))).item() for step in range(INITIAL_BATCHES)]
            assert initial == pytest.approx(first, rel=1e-12)
        for step in range(30):
            optimizer.zero_grad()
            loss = loss_of(model, batches.batch(np.array([step])))
            loss.backward()
            norm = nn.utils.clip_grad_norm_(model.parameters(), 0.5)
            optimizer.step()
            assert telemetry.loss[step, slot] == pytest.approx(loss.item(), rel=1e-9)
            assert telemetry.grad_norm[step, slot] == pytest.approx(norm.item(), rel=1e-7)


def loss_of(model, batch):
    if isinstance(batch, TokenBatch):
        return model(batch.source[0], batch.target[0])
    return model(batch.source[0].transpose(0, 1).double(), batch.target[0].transpose(0, 1).double())


@pytest.mark.parametrize("task", ["adding", "sunspots", "temporal_order", "regression"])
def test_a_trial_alone_equals_itself_in_company_to_the_last_bit(task):
    alone, _ = array_for(task, slots=1, dtype=torch.float32, dropout=0.2, layers=2)
    alone.admit(run(7))
    expected = alone.train(30).of_slot(0, 30)
    company, _ = array_for(task, slots=5, dtype=torch.float32, dropout=0.2, layers=2)
    for seed in (1, 2, 7):
        company.admit(run(seed))
    seen = [company.train(10).of_slot(2, 10)]
    company.admit(run(3, "value", 0.1))
    company.admit(run(4, "none", None))
    seen.append(company.train(10).of_slot(2, 10))
    company.evict(4)
    company.evict(3)
    company.evict(0)
    seen.append(company.train(10).of_slot(0, 10))
    np.testing.assert_array_equal(np.concatenate([block.grad_norm for block in seen]), expected.grad_norm)
    np.testing.assert_array_equal(np.concatenate([block.loss for block in seen]), expected.loss)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_bfloat16_follows_float32_within_its_precision(cell):
    exact, _ = array_for("sunspots", slots=2, dtype=torch.float32)
    rough, _ = array_for("sunspots", slots=2, dtype=torch.bfloat16)
    for array in (exact, rough):
        array.admit(run(0))
        array.admit(run(1))
    np.testing.assert_allclose(rough.train(10).loss, exact.train(10).loss, rtol=0.05)


def test_without_clipping_every_seed_of_the_regression_explodes_and_with_it_none():
    """The experiment of the tutorials: 25 relu units, SGD with momentum at 0.01, batches of 32."""
    data = load_task("regression")
    shape = ModelShape(cell="dense", **data.sizes, embedding_size=1, hidden_size=25, decoder=False, loss="mse")
    workspace = Workspace(torch.float32, torch.device("cpu"))
    array = TrialArray(
        shape,
        data,
        slots=15,
        batch_size=32,
        optimizer=OptimizerSettings("momentum"),
        schedule=Schedule("constant", 400),
        workspace=workspace,
    )
    for strategy, threshold in (("none", None), ("norm", 1.0), ("value", 5.0)):
        for seed in range(5):
            array.admit(TrainingRun(seed=seed, strategy=strategy, threshold=threshold, learning_rate=0.01))
    loss = array.train(400).loss
    assert not np.isfinite(loss[20, :5]).any()
    assert np.isfinite(loss[:, 5:]).all()
    assert (loss[-50:, 5:].mean(0) < 0.5 * loss[0, 5:]).all()
