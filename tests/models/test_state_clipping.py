"""Clipping inside back-propagation through time, beside torch's cells in a loop with hooks on their states."""

import math
from functools import partial

import pytest
import torch
from torch import nn

from gradstudy.models.array import TrainingRun, TrialArray
from gradstudy.models.model_shape import BEGIN, PAD, ModelShape, TokenBatch
from gradstudy.models.optimizer_settings import OptimizerSettings
from gradstudy.models.schedules import Schedule
from gradstudy.models.seq2seq import EncoderDecoder
from gradstudy.models.state_clipping import StateClipper
from gradstudy.models.strategies import STRATEGIES
from gradstudy.models.tasks.catalogue import load_task
from gradstudy.models.workspace import Workspace

CELLS = {
    "lstm": nn.LSTMCell,
    "gru": nn.GRUCell,
    "rnn_tanh": nn.RNNCell,
    "rnn_relu": partial(nn.RNNCell, nonlinearity="relu"),
}
CPU = torch.device("cpu")
RUNS = [
    ("recurrent", 1e-3),
    ("none", None),
    ("recurrent_value", 1e-4),
    ("norm", 0.1),
    ("recurrent", 0.02),
    ("recurrent_value", 1e-3),
    ("recurrent", 1e3),
]
"""Of the slots of an array, one after the other: much is clipped, little, nothing."""


class Hooked:
    """Clips the gradient of a state as a hook sees it, and counts how often it did."""

    def __init__(self, strategy, threshold):
        self.strategy, self.threshold, self.seen, self.changed = strategy, threshold, 0, 0

    def __call__(self, state):
        state.register_hook(self._clip)
        return state

    def _clip(self, gradient):
        clipped = gradient
        if self.strategy == "recurrent":
            clipped = gradient * min(1.0, self.threshold / (gradient.norm().item() + 1e-6))
        elif self.strategy == "recurrent_value":
            clipped = gradient.clamp(-self.threshold, self.threshold)
        self.seen += 1
        self.changed += not torch.equal(clipped, gradient)
        return clipped


def loop_of_cells(model, shape, source, target, hooked):
    """The loss of ``TorchSeq2Seq`` with its layers' weights in cells of torch, one step at a time."""

    def cells(layer):
        made = []
        for number in range(shape.layers):
            inputs = shape.embedding_size if number == 0 else shape.hidden_size
            cell = CELLS[shape.cell](inputs, shape.hidden_size, dtype=torch.float64)
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                delattr(cell, name)
                setattr(cell, name, getattr(layer, f"{name}_l{number}"))
            made.append(cell)
        return made

    def run(layer, steps, states, absent):
        states = list(states)
        outputs = []
        for x, gone in zip(steps, absent, strict=True):
            entering = x
            for number, cell in enumerate(cells(layer)):
                new = cell(entering, states[number])
                new = tuple(map(hooked, new)) if shape.cell == "lstm" else (hooked(new),)
                new = tuple(part.masked_fill(gone.unsqueeze(1), 0) for part in new)
                states[number] = new if shape.cell == "lstm" else new[0]
                entering = new[0]
            outputs.append(entering)
        return torch.stack(outputs, 1), states

    zero = torch.zeros(len(source), shape.hidden_size, dtype=torch.float64)
    start = [(zero, zero) if shape.cell == "lstm" else zero] * shape.layers
    steps = model.encoder_embedding(source).unbind(1)
    memory, states = run(model.encoder, steps, start, (source == PAD).unbind(1))
    begin = torch.full_like(target[:, :1], BEGIN)
    steps = model.decoder_embedding(torch.cat([begin, target[:, :-1]], 1)).unbind(1)
    hidden, _ = run(model.decoder, steps, states, torch.zeros_like(target, dtype=torch.bool).unbind(1))
    if shape.attention == "dot":
        scores = (hidden @ memory.transpose(1, 2)).masked_fill((source == PAD).unsqueeze(1), -math.inf)
        context = torch.softmax(scores, 2) @ memory
        hidden = torch.tanh(model.attention(torch.cat([context, hidden], 2)))
    return nn.functional.cross_entropy(model.output(hidden).flatten(0, 1), target.flatten(), ignore_index=PAD)


def shape_of(cell, layers, attention):
    return ModelShape(
        cell=cell,
        source_vocabulary=11,
        target_vocabulary=13,
        embedding_size=5,
        hidden_size=6,
        layers=layers,
        attention=attention,
    )


def gradients_of(shape, rows, batch, runs, compiled):
    """Losses, gradients [K, P] and which trials were clipped."""
    model = EncoderDecoder(shape, Workspace(torch.float64, CPU, compiled=compiled))
    clipper = StateClipper(len(runs), torch.float64, CPU)
    for slot, (strategy, threshold) in enumerate(runs):
        clipper.assign(slot, strategy, threshold)
    limits = clipper.limits(len(runs))
    views = {name: view.requires_grad_() for name, view in model.layout.views(rows.clone()).items()}
    loss = model.loss(views, batch, None, limits)
    gradients = torch.zeros_like(rows)
    for name, gradient in zip(views, torch.autograd.grad(loss.sum(), list(views.values())), strict=True):
        model.layout.views(gradients)[name].copy_(gradient)
    return loss.detach(), gradients, limits.clipped


@pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "tensors"])
@pytest.mark.parametrize(("layers", "attention"), [(1, "none"), (2, "dot")])
@pytest.mark.parametrize("cell", CELLS)
def test_every_gradient_is_that_of_cells_with_hooks(cell, layers, attention, compiled, torch_model, token_batch):
    shape = shape_of(cell, layers, attention)
    layout = EncoderDecoder(shape, Workspace(torch.float64, CPU)).layout
    references = [torch_model(shape, seed, torch.float64) for seed in range(len(RUNS))]
    rows = torch.stack([reference.flat(layout) for reference in references])
    source, target = token_batch(shape, len(RUNS), 9)
    loss, gradients, clipped = gradients_of(shape, rows, TokenBatch(source, target), RUNS, compiled)
    changes = set()
    for k, (reference, run) in enumerate(zip(references, RUNS, strict=True)):
        hooked = Hooked(*run)
        expected = loop_of_cells(reference, shape, source[k], target[k], hooked)
        expected.backward()
        torch.testing.assert_close(loss[k], expected.detach(), rtol=1e-12, atol=1e-12)
        expected_gradients = reference.flat(layout, lambda p: p.grad)
        torch.testing.assert_close(gradients[k], expected_gradients, rtol=1e-10, atol=1e-14)
        assert clipped[k] == (hooked.changed > 0)
        changes.add("all" if hooked.changed == hooked.seen else "some" if hooked.changed else "none")
    assert "some" in changes
    assert "none" in changes


@pytest.mark.parametrize("cell", CELLS)
def test_a_trial_alone_has_the_gradient_that_it_has_in_company(cell, torch_model, token_batch):
    shape = shape_of(cell, 2, "dot")
    layout = EncoderDecoder(shape, Workspace(torch.float64, CPU)).layout
    rows = torch.stack([torch_model(shape, seed, torch.float64).flat(layout) for seed in range(len(RUNS))])
    source, target = token_batch(shape, len(RUNS), 9)
    _, together, _ = gradients_of(shape, rows, TokenBatch(source, target), RUNS, None)
    for k, run in enumerate(RUNS):
        batch = TokenBatch(source[k : k + 1], target[k : k + 1])
        _, alone, _ = gradients_of(shape, rows[k : k + 1], batch, [run], None)
        torch.testing.assert_close(together[k], alone[0], rtol=1e-12, atol=1e-16)


@pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "both"])
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "packed"])
@pytest.mark.parametrize("layer", [nn.LSTM, nn.GRU, nn.RNN])
def test_pasted_layers_do_what_torchs_do_where_nothing_is_clipped(layer, packed, bidirectional):
    torch.manual_seed(0)
    fused = layer(3, 5, 2, batch_first=True, bidirectional=bidirectional, dtype=torch.float64)
    looped = layer(3, 5, 2, batch_first=True, bidirectional=bidirectional, dtype=torch.float64)
    looped.load_state_dict(fused.state_dict())
    exec(STRATEGIES["recurrent"].pytorch_setup(1e6), {"torch": torch, "model": looped})
    found = []
    for one in (fused, looped):
        x = torch.linspace(-2, 2, 4 * 6 * 3, dtype=torch.float64).sin().view(4, 6, 3).requires_grad_()
        lengths = torch.tensor([3, 6, 1, 4])
        given = nn.utils.rnn.pack_padded_sequence(x, lengths, True, enforce_sorted=False) if packed else x
        outputs, states = one(given)
        again, states = one(given, states)
        sums = [part.sin().sum() for part in (*(states if layer is nn.LSTM else [states]), outputs[0], again[0])]
        gradients = torch.autograd.grad(sum(sums), [x, *one.parameters()])
        found.append([*(part.detach() for part in sums), *gradients])
    torch.testing.assert_close(found[1], found[0], rtol=1e-10, atol=1e-12)


def test_a_state_gradient_that_is_not_finite_stays_so(torch_model, token_batch):
    shape = shape_of("lstm", 1, "none")
    layout = EncoderDecoder(shape, Workspace(torch.float64, CPU)).layout
    rows = torch.stack([torch_model(shape, seed, torch.float64).flat(layout) for seed in range(3)])
    layout.views(rows)["output.weight"][1:] = math.nan
    runs = [("recurrent", 1e-3), ("recurrent", 1e-3), ("recurrent_value", 1e-3)]
    of_both = []
    for compiled in (True, False):
        _, gradients, clipped = gradients_of(shape, rows, TokenBatch(*token_batch(shape, 3, 9)), runs, compiled)
        weights = layout.views(gradients)["decoder.weight_hh_l0"]
        assert weights[0].isfinite().all()
        assert weights[1:].isnan().all()
        of_both.append(clipped.tolist())
    assert of_both[0] == of_both[1]


def test_telemetry_says_whether_any_time_step_was_clipped_and_the_whole_gradient_stays():
    data = load_task("reverse", max_length=6, symbols=7, examples=300)
    shape = ModelShape(cell="lstm", **data.sizes, embedding_size=5, hidden_size=6)
    array = TrialArray(
        shape, data, slots=3, batch_size=8, optimizer=OptimizerSettings(), schedule=Schedule("constant", 10),
        workspace=Workspace(torch.float64, CPU),
    )  # fmt: skip
    for strategy, threshold in (("recurrent", 1e-4), ("recurrent", 1e4), ("norm", 1e4)):
        array.admit(TrainingRun(seed=0, strategy=strategy, threshold=threshold, learning_rate=0.1))
    telemetry = array.train(5)
    assert telemetry.clipped.all(0).tolist() == [True, False, False]
    assert (telemetry.grad_norm == telemetry.applied_norm).all()
    assert telemetry.grad_norm[0, 0] < telemetry.grad_norm[0, 1]
    assert (telemetry.loss[:, 1] == telemetry.loss[:, 2]).all()
    array.evict(0)  # the last moves into its place
    assert not array.train(2).clipped.any()
