"""The trial array against training loops of torch's own modules, and against itself in a batch."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from gradstudy.models.array import INITIAL_BATCHES, TrainingRun, TrialArray
from gradstudy.models.model_shape import ModelShape
from gradstudy.models.optimizer_settings import OPTIMIZERS, OptimizerSettings
from gradstudy.models.schedules import Schedule
from gradstudy.models.strategies import StrategyError
from gradstudy.models.tasks.batches import TrialBatches
from gradstudy.models.tasks.catalogue import load_task
from gradstudy.models.workspace import Workspace

BATCH = 8


@pytest.fixture(scope="module")
def data():
    return load_task("reverse", max_length=6, symbols=7, examples=300)


def shape_for(data, cell, **options):
    return ModelShape(
        cell=cell,
        source_vocabulary=len(data.source_vocabulary),
        target_vocabulary=len(data.target_vocabulary),
        **({"embedding_size": 5, "hidden_size": 6} | options),
    )


CONSTANT = Schedule("constant", 400)
NONE: dict[str, float] = {}


def array_for(
    data,
    cell="lstm",
    slots=8,
    dtype=torch.float32,
    optimizer="sgd",
    guard=False,
    schedule=CONSTANT,
    given=NONE,
    **options,
):
    return TrialArray(
        shape_for(data, cell, **options),
        data,
        slots=slots,
        batch_size=BATCH,
        optimizer=OptimizerSettings(optimizer, given),
        schedule=schedule,
        guard=guard,
        workspace=Workspace(dtype, torch.device("cpu")),
    )


def run(seed, strategy="none", threshold=None, learning_rate=0.5):
    return TrainingRun(seed=seed, strategy=strategy, threshold=threshold, learning_rate=learning_rate)


CLIP = {
    "none": lambda model, c: torch.nn.utils.get_total_norm([p.grad for p in model.parameters()]),
    "norm": lambda model, c: torch.nn.utils.clip_grad_norm_(model.parameters(), c),
    "value": lambda model, c: torch.nn.utils.clip_grad_value_(model.parameters(), c),
}
OPTIMIZER = {
    "sgd": lambda model, lr: torch.optim.SGD(model.parameters(), lr),
    "momentum": lambda model, lr: torch.optim.SGD(model.parameters(), lr, momentum=0.9),
    "nesterov": lambda model, lr: torch.optim.SGD(model.parameters(), lr, momentum=0.9, nesterov=True),
    "adagrad": lambda model, lr: torch.optim.Adagrad(model.parameters(), lr),
    "adadelta": lambda model, lr: torch.optim.Adadelta(model.parameters(), lr),
    "rmsprop": lambda model, lr: torch.optim.RMSprop(model.parameters(), lr),
    "adam": lambda model, lr: torch.optim.Adam(model.parameters(), lr),
    "adamw": lambda model, lr: torch.optim.AdamW(model.parameters(), lr),
    "nadam": lambda model, lr: torch.optim.NAdam(model.parameters(), lr),
    "radam": lambda model, lr: torch.optim.RAdam(model.parameters(), lr),
}
SMALL = {"adam": 0.005, "adamw": 0.005, "nadam": 0.005, "radam": 0.005, "rmsprop": 0.001, "adagrad": 0.02}
"""By what the learning rates of the runs are multiplied: these optimizers move every parameter alike."""


def torch_losses(model, data, training, optimizer, steps):
    """The loop that people write, over the batches of the trial's seed."""
    batches = TrialBatches(data, 1, BATCH)
    batches.admit(0, training.seed)
    stepper = OPTIMIZER[optimizer](model, training.learning_rate)
    losses, norms = [], []
    for step in range(steps):
        batch = batches.batch(np.array([step]))
        stepper.zero_grad()
        loss = model(batch.source[0], batch.target[0])
        loss.backward()
        norms.append(torch.nn.utils.get_total_norm([p.grad for p in model.parameters()]).item())
        CLIP[training.strategy](model, training.threshold)
        stepper.step()
        losses.append(loss.item())
    return np.array(losses), np.array(norms)


def twin(array, torch_model, shape, seed, dtype):
    """Torch's model as a trial of this seed begins: torch draws in float32, the array in its own type."""
    model = torch_model(shape, seed, torch.float32).to(dtype)
    row = array.model.initialize(seed, dtype).unsqueeze(0)
    with torch.no_grad():
        for name, view in array.model.layout.views(row).items():
            target = dict(model.named_parameters())[name]
            target.copy_(view[0].T if view[0].shape != target.shape or "weight_" in name else view[0])
    return model


RUNS = [
    run(0, learning_rate=0.1),
    run(1, "norm", 0.05, 2.0),
    run(2, "value", 0.01, 1.5),
    run(3, "norm", 0.3, 1.0),
    run(4, "value", 0.001, 3.0),
    run(5, "norm", 1.0, 0.2),
    run(6, learning_rate=0.7),
    run(7, "value", 0.1, 0.3),
]


@pytest.mark.sampled
@pytest.mark.parametrize(
    ("optimizer", "cell", "trials", "dtype", "steps", "tolerance"),
    [
        *(
            (optimizer, cell, trials, *precisely)
            for optimizer in ("sgd", "momentum", "adam")
            for cell in ("lstm", "gru")
            for trials in (1, 8)
            for precisely in ((torch.float64, 50, 1e-10), (torch.float32, 5, 2e-3))
        ),
        *(("sgd", cell, trials, torch.float64, 50, 1e-10) for cell in ("rnn_tanh", "rnn_relu") for trials in (1, 8)),
        *(
            (optimizer, "lstm", 8, torch.float64, 50, 1e-10)
            for optimizer in sorted(OPTIMIZER.keys() - {"sgd", "momentum", "adam"})
        ),
    ],
)
def test_training_equals_torchs_loop(data, torch_model, optimizer, cell, trials, dtype, steps, tolerance):
    """In float32 over few steps: at these learning rates training enlarges the differences of rounding."""
    array = array_for(data, cell, dtype=dtype, optimizer=optimizer)
    small = SMALL.get(optimizer, 1.0)
    if optimizer == "nadam":
        tolerance = max(tolerance, 1e-8)  # torch keeps the product of its decays in float32
    runs = [run(r.seed, r.strategy, r.threshold, r.learning_rate * small) for r in RUNS[:trials]]
    for training in runs:
        array.admit(training)
    telemetry = array.train(steps)
    for slot, training in enumerate(runs):
        model = twin(array, torch_model, shape_for(data, cell), training.seed, dtype)
        losses, norms = torch_losses(model, data, training, optimizer, steps)
        np.testing.assert_allclose(telemetry.loss[:, slot], losses, rtol=tolerance)
        np.testing.assert_allclose(telemetry.grad_norm[:, slot], norms, rtol=20 * tolerance)


@pytest.mark.sampled
@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn_tanh"])
@pytest.mark.parametrize(
    ("strategy", "threshold"),
    [
        ("none", None),
        ("norm", 0.1),
        ("value", 0.01),
        ("param_norm", 0.1),
        ("normalize", 0.2),
        ("standardize", None),
        ("agc", 0.05),
        ("autoclip", 20.0),
        ("zclip", 1.5),
        ("recurrent", 0.01),
        ("recurrent_value", 1e-3),
    ],
)
def test_a_trial_alone_equals_itself_among_seven_that_come_and_go(data, cell, strategy, threshold):
    mine = run(42, strategy, threshold, 0.005 if strategy == "standardize" else 0.5)
    options = {"dtype": torch.float64, "dropout": 0.2, "layers": 2, "attention": "dot"}
    alone = array_for(data, cell, slots=1, **options)
    alone.admit(mine)
    expected = alone.train(60)

    company = array_for(data, cell, slots=8, **options)
    for neighbour in RUNS[:3]:
        company.admit(neighbour)
    slot = company.admit(mine)
    seen = [company.train(7).of_slot(slot, 7)]
    for neighbour in RUNS[3:7]:
        company.admit(neighbour)
    seen.append(company.train(13).of_slot(slot, 13))
    company.evict(5)
    company.evict(0)
    assert company.active == 6
    company.admit(RUNS[7])
    seen.append(company.train(20).of_slot(slot, 20))
    while company.active > slot + 1:  # now mine is the last and moves into the first slot
        company.evict(company.active - 1)
    company.evict(0)
    seen.append(company.train(20).of_slot(0, 20))
    np.testing.assert_allclose(np.concatenate([block.loss for block in seen]), expected.loss[:, 0], rtol=1e-9)
    np.testing.assert_allclose(
        np.concatenate([block.applied_norm for block in seen]), expected.applied_norm[:, 0], rtol=1e-7
    )


@pytest.mark.parametrize(
    "options",
    [
        {"bidirectional": True, "attention": "bahdanau", "layers": 2, "dropout": 0.2},
        {"bidirectional": True, "attention": "dot", "label_smoothing": 0.1, "tied": True, "embedding_size": 6},
    ],
)
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_a_trial_of_each_model_alone_equals_itself_among_others(data, cell, options):
    alone, company = (array_for(data, cell, slots=slots, dtype=torch.float64, **options) for slots in (1, 4))
    mine = run(42, "norm", 0.5, 0.5)
    alone.admit(mine)
    for neighbour in RUNS[:2]:
        company.admit(neighbour)
    slot = company.admit(mine)
    seen = [company.train(6).loss[:, slot]]
    company.evict(0)  # mine moves into the first slot
    seen.append(company.train(6).loss[:, 0])
    np.testing.assert_allclose(np.concatenate(seen), alone.train(12).loss[:, 0], rtol=1e-9)
    assert company.validation_loss(0) == pytest.approx(alone.validation_loss(0), rel=1e-9)


def test_labels_are_smoothed_in_training_and_not_in_validation(data):
    smooth, plain = (array_for(data, slots=1, label_smoothing=share) for share in (0.3, 0.0))
    for array in (smooth, plain):
        array.admit(run(1))
    assert smooth.validation_loss(0) == plain.validation_loss(0)
    assert smooth.initial_losses(0) != plain.initial_losses(0)
    first = smooth.initial_losses(0)[0]
    assert smooth.train(1).loss[0, 0] == pytest.approx(first, rel=1e-5)


def test_a_trial_that_overflows_does_not_leak(data):
    array = array_for(data, "gru", slots=3, dtype=torch.float64)
    array.admit(run(0, "norm", 0.1))
    array.admit(run(1, learning_rate=math.inf))
    array.admit(run(2, "zclip", 2.0))
    telemetry = array.train(30)
    assert np.isnan(telemetry.loss[1:, 1]).all()
    for slot, training in ((0, run(0, "norm", 0.1)), (2, run(2, "zclip", 2.0))):
        alone = array_for(data, "gru", slots=1, dtype=torch.float64)
        alone.admit(training)
        np.testing.assert_allclose(telemetry.loss[:, slot], alone.train(30).loss[:, 0], rtol=1e-9)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_guard_skips_a_step_with_a_non_finite_gradient(data, optimizer):
    array = array_for(data, slots=2, guard=True, optimizer=optimizer)
    array.admit(run(0))
    array.admit(run(1))
    array.train(3)
    healthy = array.parameters[0].clone()
    array.parameters[1, 0] = math.nan
    before = array.parameters[1].clone()
    telemetry = array.train(1)
    assert math.isfinite(telemetry.loss[0, 0])
    assert not torch.equal(array.parameters[0], healthy)
    assert telemetry.applied_norm[0, 1] == 0
    assert torch.equal(array.parameters[1].nan_to_num(7.0), before.nan_to_num(7.0))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_step_that_a_rule_skips_leaves_parameters_and_optimizer_as_they_were(data, optimizer):
    array, other = (array_for(data, slots=2, optimizer=optimizer) for _ in range(2))
    for one in (array, other):
        one.admit(run(0, "skip_norm", 1e-3))
        one.admit(run(1, "norm", 1.0))
    before = array.parameters.clone()
    telemetry = array.train(5)
    assert (telemetry.applied_norm[:, 0] == 0).all()
    assert telemetry.clipped[:, 0].all()
    assert torch.equal(array.parameters[0], before[0])
    assert not torch.equal(array.parameters[1], before[1])
    for one in (array, other):  # five skipped steps have left the optimizer as a new one
        one._clipper.assign(0, "none", None)
    array._step[:], array._dropout_key[:] = other._step, other._dropout_key
    array.train(1)
    other.train(1)
    torch.testing.assert_close(array.parameters[0], other.parameters[0], rtol=0, atol=0)


def test_without_the_guard_a_non_finite_gradient_reaches_the_parameters(data):
    array = array_for(data, slots=1)
    array.admit(run(0))
    array.parameters[0, 0] = math.nan
    array.train(1)
    assert array.parameters[0].isnan().sum() > 1


def test_the_initial_losses_are_those_of_the_trials_first_batches(data, torch_model):
    array = array_for(data, dtype=torch.float32)
    slot = array.admit(run(3))
    batches = TrialBatches(data, 1, BATCH)
    batches.admit(0, 3)
    model = torch_model(shape_for(data, "lstm"), 3, torch.float32)
    first = [batches.batch(np.array([step])) for step in range(INITIAL_BATCHES)]
    expected = [model(batch.source[0], batch.target[0]).item() for batch in first]
    assert array.initial_losses(slot) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_bfloat16_follows_float32_within_its_precision(data, cell):
    exact, rough = array_for(data, cell), array_for(data, cell, dtype=torch.bfloat16)
    for seed in range(3):
        exact.admit(run(seed, "norm", 1.0))
        rough.admit(run(seed, "norm", 1.0))
    expected, found = exact.train(20), rough.train(20)
    assert rough.parameters.dtype == torch.float32
    np.testing.assert_allclose(found.loss, expected.loss, rtol=0.02)
    assert not np.array_equal(found.loss, expected.loss)


@pytest.mark.parametrize("seed", [0, 2**31, 2**32 - 1])
def test_every_seed_of_32_bits_can_be_trained(data, seed):
    array = array_for(data, slots=1, dropout=0.5, layers=2)
    array.admit(run(seed))
    assert np.isfinite(array.train(2).loss).all()


def test_a_full_array_refuses_another_trial(data):
    array = array_for(data, slots=1)
    array.admit(run(0))
    with pytest.raises(IndexError, match="all 1 slots"):
        array.admit(run(1))


def test_a_strategy_that_clips_inside_needs_its_threshold_and_a_wrong_one_takes_no_slot(data):
    array = array_for(data, slots=1)
    with pytest.raises(StrategyError, match="strategy 'recurrent' needs a threshold"):
        array.admit(run(0, "recurrent"))
    assert array.active == 0


def test_dropout_depends_on_seed_and_step_and_hits_its_rate():
    from gradstudy.models.dropout import dropout

    x = torch.ones(3, 5, 40, 50)
    keys, positions = torch.tensor([7, 7, 8]), torch.arange(5)
    dropped = dropout(x, 0.3, keys, positions, 1)
    assert torch.equal(dropped[0], dropped[1])
    assert not torch.equal(dropped[0], dropped[2])
    assert not torch.equal(dropped[0], dropout(x, 0.3, keys, positions, 2)[0])
    kept = dropped != 0
    assert torch.allclose(dropped[kept], torch.tensor(1 / 0.7))
    # 30,000 draws: three standard deviations of the mean are 0.008.
    assert abs(kept.double().mean().item() - 0.7) < 0.008
    agreement = (kept[0] == kept[2]).double().mean().item()
    assert abs(agreement - (0.7**2 + 0.3**2)) < 0.02


GIVEN = {
    "sgd": {"weight_decay": 0.1},
    "momentum": {"momentum": 0.5, "weight_decay": 0.1},
    "nesterov": {"momentum": 0.5, "weight_decay": 0.1},
    "adagrad": {"epsilon": 0.1, "weight_decay": 0.1},
    "adadelta": {"epsilon": 0.1, "weight_decay": 0.1},
    "rmsprop": {"epsilon": 0.1, "weight_decay": 0.1},
    "adam": {"beta1": 0.5, "beta2": 0.8, "epsilon": 0.1, "weight_decay": 0.1},
    "adamw": {"beta1": 0.5, "beta2": 0.8, "epsilon": 0.1, "weight_decay": 0.1},
    "nadam": {"beta1": 0.5, "beta2": 0.8, "epsilon": 0.1, "weight_decay": 0.1},
    "radam": {"beta1": 0.5, "beta2": 0.8, "epsilon": 0.1, "weight_decay": 0.1},
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("schedule", [Schedule("constant", 50), Schedule("cosine", 50, warmup=8)])
def test_hyperparameters_and_schedules_are_those_of_the_pasted_code(data, torch_model, optimizer, schedule):
    """In company that comes and goes, each with hyperparameters of its own."""
    given = GIVEN[optimizer]
    halved = {name: value / 2 for name, value in given.items()}
    array = array_for(data, dtype=torch.float64, optimizer=optimizer, schedule=schedule, given=halved, slots=3)
    training = replace(run(3, "norm", 0.3, 0.05 * SMALL.get(optimizer, 1.0)), hyperparameters=given)
    of_others = {name: value / 3 for name, value in given.items()}
    for other in (run(1, "value", 0.1, 0.01), replace(run(2), hyperparameters=of_others), training):
        array.admit(other)
    losses = [array.train(10).loss[:, 2]]
    array.evict(0)  # the last one moves into its place
    losses.append(array.train(15).loss[:, 0])
    array.admit(run(4))
    losses.append(array.train(25).loss[:, 0])

    model = twin(array, torch_model, shape_for(data, "lstm"), 3, torch.float64)
    names = {"torch": torch, "model": model}
    optimizer_code = OptimizerSettings(optimizer, given).code(training.learning_rate)
    exec(f"optimizer = {optimizer_code}\n{schedule.code()}", names)
    batches = TrialBatches(data, 1, BATCH)
    batches.admit(0, 3)
    expected = []
    for step in range(50):
        batch = batches.batch(np.array([step]))
        names["optimizer"].zero_grad()
        loss = model(batch.source[0], batch.target[0])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.3)
        names["optimizer"].step()
        if not schedule.is_constant:
            names["schedule"].step()
        expected.append(loss.item())
    np.testing.assert_allclose(np.concatenate(losses), expected, rtol=1e-10)


def test_a_slot_has_nothing_left_of_the_trial_before(data):
    given = {"momentum": 0.99, "weight_decay": 0.5}
    used = array_for(data, optimizer="momentum", slots=1)
    used.admit(replace(run(1), hyperparameters=given))
    used.train(2)
    used.evict(0)
    used.admit(run(2))
    alone = array_for(data, optimizer="momentum", slots=1)
    alone.admit(run(2))
    np.testing.assert_array_equal(used.train(5).loss, alone.train(5).loss)
