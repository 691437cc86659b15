"""The maximal update parametrization: its table, and the coordinate check of Tensor Programs V (appendix D.1)."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from gradstudy.models import seq2seq
from gradstudy.models.array import TrainingRun, TrialArray
from gradstudy.models.model_shape import ModelShape, parameter_layout
from gradstudy.models.optimizer_settings import OPTIMIZERS, OptimizerSettings
from gradstudy.models.parametrization import growth, rate_scales
from gradstudy.models.schedules import Schedule
from gradstudy.models.tasks.batches import TrialBatches
from gradstudy.models.tasks.catalogue import load_task
from gradstudy.models.workspace import Workspace
from gradstudy.study.answer.code_to_paste import code_to_paste

WIDTHS = (32, 64, 128, 256)
SEEDS = 2
STEPS = 4
RATES = {"sgd": 0.5, "adam": 0.01}
STAYS, GROWS = 0.2, 0.3
"""Slopes of the logarithm of a change by that of the width: it does not depend on the width; it does."""


@pytest.fixture(scope="module")
def data():
    return load_task("reverse", max_length=5, symbols=7, examples=300)


def shape_for(data, hidden, base=None, embedding=None, **options):
    plain = ModelShape(
        source_vocabulary=len(data.source_vocabulary),
        target_vocabulary=len(data.target_vocabulary),
        hidden_size=hidden,
        embedding_size=embedding or hidden,
        **({"cell": "lstm"} | options),
    )
    if base is None:
        return plain
    return replace(plain, base=replace(plain, hidden_size=base, embedding_size=embedding or base))


def array_for(data, shape, optimizer="sgd", slots=SEEDS, dtype=torch.float64, given=None):
    return TrialArray(
        shape,
        data,
        slots=slots,
        batch_size=8,
        optimizer=OptimizerSettings(optimizer, given or {}),
        schedule=Schedule("constant", 100),
        workspace=Workspace(dtype, torch.device("cpu")),
    )


def run(seed, rate, strategy="none", threshold=None):
    return TrainingRun(seed=seed, strategy=strategy, threshold=threshold, learning_rate=rate)


def outputs_of(array, monkeypatch):
    """What the output layer reads, before it is scaled, and what it gives, on each trial's first batch."""
    seen = {}

    def watched(x, weight, bias, workspace, name, affine=seq2seq.affine):
        out = affine(x, weight, bias, workspace, name)
        if name == "output":
            seen.update(states=x.detach() / array.model.shape.output_scale, logits=out.detach().clone())
        return out

    with monkeypatch.context() as patched:
        patched.setattr(seq2seq, "affine", watched)
        batch = array._batches.first_batches(0, range(1))
        for slot in range(array.active):
            with torch.no_grad():
                array._loss(array.model.layout.views(array.parameters[slot : slot + 1]), batch)
            yield seen["states"].clone(), seen["logits"].clone()


def changes(data, monkeypatch, shape, optimizer):
    """By how much coordinates of states and of outputs change in a few steps: root mean squares."""
    array = array_for(data, shape, optimizer)
    for seed in range(SEEDS):
        array.admit(run(seed, RATES[optimizer]))
    before = list(outputs_of(array, monkeypatch))
    array.train(STEPS)
    after = list(outputs_of(array, monkeypatch))
    moved = [[(b - a).square().mean() for a, b in zip(x, y, strict=True)] for x, y in zip(before, after, strict=True)]
    return np.sqrt(np.mean(moved, 0))


def slopes(data, monkeypatch, optimizer, base=None, widths=WIDTHS, **options):
    """How the changes of states and outputs depend on the width, as powers of it."""
    found = [changes(data, monkeypatch, shape_for(data, width, base, **options), optimizer) for width in widths]
    return np.polyfit(np.log(widths), np.log(found), 1)[0]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"cell": "gru"},
        {"embedding": 16, "widths": WIDTHS[:3]},
        {"tied": True, "widths": WIDTHS[:3]},
        {"attention": "dot", "widths": WIDTHS[:3]},
        {"attention": "bahdanau", "bidirectional": True, "widths": WIDTHS[:3]},
    ],
    ids=str,
)
@pytest.mark.parametrize("optimizer", RATES)
def test_a_few_steps_change_every_coordinate_alike_at_every_width(data, monkeypatch, optimizer, options):
    for slope in slopes(data, monkeypatch, optimizer, WIDTHS[0], **options):
        assert -STAYS < slope < STAYS


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("optimizer", RATES)
def test_in_the_standard_parametrization_outputs_change_more_the_wider_the_model(data, monkeypatch, optimizer, cell):
    assert slopes(data, monkeypatch, optimizer, cell=cell)[1] > GROWS


def test_at_the_base_width_both_are_the_same_to_the_bit(data):
    for optimizer in OPTIMIZERS:
        found = []
        for base in (None, 6):
            shape = shape_for(data, 6, base, attention="bahdanau", bidirectional=True)
            array = array_for(data, shape, optimizer, dtype=torch.float32)
            for seed in range(SEEDS):
                array.admit(run(seed, 0.01))
            found.append((array.train(5).loss, array.parameters.clone()))
        assert np.array_equal(found[0][0], found[1][0])
        assert torch.equal(found[0][1], found[1][1])


EXPECTED = {  # what is multiplied at twice the width: first values, learning rate of SGD, of Adam
    "encoder_embedding.weight": (1, 2, 1),
    "encoder.weight_ih_l0": (0.5**0.5, 1, 0.5),
    "encoder.weight_hh_l0_reverse": (0.5**0.5, 1, 0.5),
    "encoder.bias_hh_l0": (1, 2, 1),
    "bridge.c_l0.weight": (0.5**0.5, 1, 0.5),
    "bridge.h_l0.bias": (1, 2, 1),
    "attention.query.weight": (0.5**0.5, 1, 0.5),
    "attention.score.weight": (1, 2, 1),
    "output.weight": (1, 2, 1),
    "output.bias": (1, 1, 1),
}


def test_the_multipliers_are_those_of_the_paper(data):
    shape = shape_for(data, 12, 6, attention="bahdanau", bidirectional=True)
    layout, base = parameter_layout(shape), parameter_layout(shape.base)
    found = {
        of_this.name: (
            growth(of_this, of_base).initial,
            *(growth(of_this, of_base).rate(by_size=by_size) for by_size in (True, False)),
        )
        for of_this, of_base in zip(layout.parameters, base.parameters, strict=True)
    }
    for name, expected in EXPECTED.items():
        assert found[name] == pytest.approx(expected)


def test_input_weights_of_what_does_not_grow_keep_their_first_values_and_learn_like_embeddings(data):
    shape = shape_for(data, 12, 6, embedding=4)
    layout, base = parameter_layout(shape), parameter_layout(shape.base)
    place = [parameter.name for parameter in layout.parameters].index("encoder.weight_ih_l0")
    grown = growth(layout.parameters[place], base.parameters[place])
    assert (grown.initial, grown.rate(by_size=True), grown.rate(by_size=False)) == (1, 2, 1)


def test_first_values_are_as_large_as_the_paper_has_them(data):
    shape = shape_for(data, 96, 6)
    array = array_for(data, shape)
    views = array.model.layout.views(array.model.initialize(0, torch.float64).unsqueeze(0))
    largest = {name: float(view.abs().max()) for name, view in views.items()}
    assert largest["output.weight"] == pytest.approx(6**-0.5, rel=0.02)
    assert largest["encoder.bias_ih_l0"] == pytest.approx(6**-0.5, rel=0.02)
    assert largest["encoder.weight_hh_l0"] == pytest.approx(96**-0.5, rel=0.02)


@pytest.mark.parametrize("strategy", ["none", "standardize"])
def test_updates_are_the_learning_rate_times_the_multiplier(data, strategy):
    shape = shape_for(data, 12, 6)
    array = array_for(data, shape, slots=1)
    array.admit(run(0, 0.25, strategy))
    before = array.parameters.clone()
    array.train(1)
    scales = rate_scales(shape, array.model.layout, "sgd", strategy)
    # What is left of the gradients is what the optimizer was given.
    torch.testing.assert_close(array.parameters, before - 0.25 * scales * array.gradients, rtol=1e-12, atol=1e-15)
    layout = array.model.layout.views(scales.unsqueeze(0))
    assert float(layout["encoder.weight_hh_l0"].mean()) == (0.5 if strategy == "standardize" else 1)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_trial_is_the_same_alone_and_among_others_that_leave(data, optimizer):
    shape = shape_for(data, 12, 6)
    alone, among = array_for(data, shape, optimizer, slots=1), array_for(data, shape, optimizer, slots=3)
    alone.admit(run(7, 0.01))
    for seed, strategy in ((1, "standardize"), (2, "none"), (7, "none")):
        among.admit(run(seed, 0.01, strategy))
    first = alone.train(3).loss[:, 0]
    assert np.allclose(among.train(3).loss[:, 2], first, rtol=1e-12)
    among.evict(0)
    assert np.allclose(among.train(3).loss[:, 0], alone.train(3).loss[:, 0], rtol=1e-12)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_weight_decay_takes_as_much_of_every_parameter(data, optimizer):
    shape = shape_for(data, 12, 6)
    array = array_for(data, shape, optimizer, slots=1, given={"weight_decay": 0.1})
    array.admit(run(0, 0.25))
    array.gradients.zero_()
    array.parameters.fill_(1.0)
    array._optimizer.step(
        array.parameters, array.gradients, torch.tensor([0.25], dtype=torch.float64), torch.ones(1).double()
    )
    assert torch.allclose(array.parameters, torch.full_like(array.parameters, 1 - 0.25 * 0.1))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("options", [{}, {"cell": "gru", "embedding": 4, "attention": "bahdanau"}], ids=str)
def test_the_pasted_code_trains_as_the_array_does(data, torch_model, optimizer, options):
    shape = shape_for(data, 12, 6, **options)
    array = array_for(data, shape, optimizer, slots=1, given={"weight_decay": 0.01})
    training = run(3, 0.01)
    array.admit(training)
    wide, base = (torch_model(each, 3, torch.float64) for each in (shape, shape.base))
    spec = {
        "optimizer": optimizer,
        "weight_decay": 0.01,
        "model": {"hidden_size": 12, "parametrization": "mup", "base_width": 6},
    }
    before, after = code_to_paste("none", None, 0.01, spec).split("\n# after loss.backward()\n")
    names = {"torch": torch, "model": wide, "base": base}
    exec(before, names)
    parameters = dict(wide.named_parameters())
    for name, of_base in base.named_parameters():
        parameter = parameters[name]
        grown = sum(n != m for n, m in zip(parameter.shape, of_base.shape, strict=True))
        if grown == 1:  # drawn as in the base, up to what chance does
            assert float(parameter.detach().std()) == pytest.approx(float(of_base.detach().std()))
    with torch.no_grad():
        for parameter in array.model.layout.parameters:
            view = parameter.view(array.parameters)[0]
            parameters[parameter.name].copy_(view.T if parameter.unit_axis == 1 else view)
    losses = []
    batches = TrialBatches(data, 1, 8)
    batches.admit(0, training.seed)
    for step in range(4):
        batch = batches.batch(np.array([step]))
        wide.zero_grad()
        loss = wide(batch.source[0], batch.target[0])
        loss.backward()
        names["loss"] = loss
        exec(after, names)
        losses.append(loss.item())
    np.testing.assert_allclose(array.train(4).loss[:, 0], losses, rtol=1e-9)
