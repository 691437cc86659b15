"""The user's own modules beside hand-written training loops of torch, and in a batch beside alone.

Runs of many steps are compared in float64: training enlarges differences, and float32 begins with those of the
processor's rounding.
"""

import random

import numpy as np
import pytest
import torch
from thresholds import AFTER_BACKWARD
from torch import nn

from gradstudy.models.array import INITIAL_BATCHES, TrainingRun
from gradstudy.models.optimizer_settings import OptimizerSettings
from gradstudy.models.schedules import Schedule
from gradstudy.models.strategies import STRATEGIES
from gradstudy.models.user_module.array import ModuleArray
from gradstudy.models.user_module.batching import try_batching
from gradstudy.models.user_module.loading import UserModule

CPU = torch.device("cpu")
OPTIMIZERS = {
    "sgd": lambda p, lr: torch.optim.SGD(p, lr),
    "momentum": lambda p, lr: torch.optim.SGD(p, lr, momentum=0.9),
    "adam": lambda p, lr: torch.optim.Adam(p, lr),
    "own": lambda p, lr: adam_w(p, lr),
}


class Recurrent(nn.Module):
    """A GRU written by hand, with BatchNorm, a frozen part and a parameter without axes."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(7, 6)
        self.gates = nn.Linear(12, 12)
        self.candidate = nn.Linear(12, 6)
        self.norm = nn.BatchNorm1d(6)
        self.output = nn.Linear(6, 7)
        self.temperature = nn.Parameter(torch.tensor(1.0))
        self.output.bias.requires_grad_(False)

    def forward(self, tokens):
        hidden, outputs = torch.zeros(len(tokens), 6), []
        for x in self.embedding(tokens).unbind(1):
            z, r = torch.sigmoid(self.gates(torch.cat([x, hidden], 1))).chunk(2, 1)
            hidden = (1 - z) * torch.tanh(self.candidate(torch.cat([x, r * hidden], 1))) + z * hidden
            outputs.append(self.output(self.norm(hidden)) * self.temperature)
        return torch.stack(outputs, 1)


class Lstm(nn.Module):
    def __init__(self, *, dropout=0.0, sparse=False):
        super().__init__()
        self.embedding = nn.Embedding(7, 6, sparse=sparse)
        self.lstm = nn.LSTM(6, 6, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(6, 7)

    def forward(self, tokens):
        return self.output(self.dropout(self.lstm(self.embedding(tokens))[0]))


def cross_entropy(model, tokens):
    return nn.functional.cross_entropy(model(tokens)[:, 1:].flatten(0, 1), tokens[:, :-1].flatten())


def batches_of(seed, length=5):
    return lambda step: torch.randint(7, (4, length), generator=torch.Generator().manual_seed(1000 * seed + step))


def adam_w(parameters, learning_rate):
    return torch.optim.AdamW(parameters, learning_rate, weight_decay=0.3)


def task(
    make=Recurrent, loss=cross_entropy, batches=batches_of, validation=None, optimizer=adam_w, dtype=torch.float64
):
    def problem(seed):
        return make().to(dtype), batches(seed), loss, validation, optimizer

    return UserModule("module:mine:problem", problem, {}, None, "")


def array(user, *, slots=8, optimizer="sgd", batched, guard=False, schedule=None):
    return ModuleArray(
        user,
        "module",
        slots=slots,
        batch_size=4,
        optimizer=None if optimizer == "own" else OptimizerSettings(optimizer),
        schedule=Schedule("constant", 40) if schedule is None else schedule,
        guard=guard,
        device=CPU,
        batched=batched,
    )


def run(seed=0, strategy="norm", threshold=0.5, learning_rate=0.3):
    return TrainingRun(seed=seed, strategy=strategy, threshold=threshold, learning_rate=learning_rate)


def tried(user):
    return try_batching(user, "module", 4, CPU)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize(("make", "batched"), [(Recurrent, True), (Recurrent, False), (Lstm, False)])
@pytest.mark.parametrize(("dtype", "steps", "tolerance"), [(torch.float64, 12, 1e-9), (torch.float32, 3, 1e-4)])
def test_a_trial_is_what_a_loop_of_torch_does(make, batched, optimizer, dtype, steps, tolerance):
    trained = array(task(make, dtype=dtype), optimizer=optimizer, batched=batched)
    for seed in (3, 4):
        trained.admit(run(seed=seed, learning_rate=0.05))
    telemetry = trained.train(steps)
    for slot, seed in enumerate((3, 4)):
        torch.manual_seed(seed)
        model = make().to(dtype)
        stepper = OPTIMIZERS[optimizer]([p for p in model.parameters() if p.requires_grad], 0.05)
        for step in range(steps):
            loss = cross_entropy(model, batches_of(seed)(step))
            model.zero_grad()
            loss.backward()
            norm = nn.utils.clip_grad_norm_(model.parameters(), 0.5)
            stepper.step()
            assert telemetry.loss[step, slot] == pytest.approx(float(loss.detach()), rel=tolerance)
            assert telemetry.grad_norm[step, slot] == pytest.approx(float(norm), rel=10 * tolerance)
            assert telemetry.clipped[step, slot] == (norm > 0.5)
        model.eval()
        with torch.no_grad():
            expected = np.mean([float(cross_entropy(model, batches_of(seed)(step))) for step in range(INITIAL_BATCHES)])
        assert trained.validation_loss(slot) == pytest.approx(expected, rel=10 * tolerance)


@pytest.mark.parametrize("batched", [True, False])
def test_each_run_is_at_its_own_step_of_a_schedule(batched):
    schedule = Schedule("linear", 20, warmup=5)
    trained = array(task(), batched=batched, schedule=schedule)
    trained.admit(run(seed=3))
    trained.train(4)
    trained.admit(run(seed=4, learning_rate=0.1))
    losses = trained.train(12).loss[:, 1]
    torch.manual_seed(4)
    model = Recurrent().double()
    trainable = [p for p in model.parameters() if p.requires_grad]
    names = {"torch": torch, "optimizer": torch.optim.SGD(trainable, 0.1)}
    exec(schedule.code(), names)
    for step in range(12):
        loss = cross_entropy(model, batches_of(4)(step))
        model.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        names["optimizer"].step()
        names["schedule"].step()
        assert losses[step] == pytest.approx(float(loss.detach()), rel=1e-9)


@pytest.mark.parametrize(("dtype", "steps", "tolerance"), [(torch.float64, 12, 1e-9), (torch.float32, 3, 2e-3)])
def test_batched_runs_equal_single_ones_with_every_strategy(dtype, steps, tolerance):
    user = task(dtype=dtype)
    assert tried(user).batched
    assert tried(user).reason is None
    settings = [
        run(seed=seed, strategy=name, threshold=None if STRATEGIES[name].unit is None else 0.8, learning_rate=0.02)
        for seed, name in enumerate(AFTER_BACKWARD)
    ]
    together, alone = (array(user, slots=len(settings), batched=batched) for batched in (True, False))
    for one in (together, alone):
        for setting in settings:
            one.admit(setting)
        for slot in range(len(settings)):
            assert min(one.initial_losses(slot)) > 0
    a, b = together.train(steps), alone.train(steps)
    np.testing.assert_allclose(a.loss, b.loss, rtol=tolerance)
    np.testing.assert_allclose(a.grad_norm, b.grad_norm, rtol=10 * tolerance)
    for slot in range(len(settings)):
        assert together.validation_loss(slot) == pytest.approx(alone.validation_loss(slot), rel=tolerance)


@pytest.mark.parametrize("optimizer", ["sgd", "own"])
@pytest.mark.parametrize("batched", [True, False])
def test_a_trial_does_not_depend_on_those_that_come_and_go(batched, optimizer):
    user = task() if batched else task(lambda: Lstm(dropout=0.5))
    alone = array(user, batched=batched, optimizer=optimizer)
    alone.admit(run(seed=5))
    expected = alone.train(30).loss[:, 0]
    busy = array(user, batched=batched, optimizer=optimizer)
    for seed in (1, 2, 5):
        busy.admit(run(seed=seed))
    seen = [busy.train(10).loss[:, 2]]
    busy.evict(0)
    assert busy.active == 2
    busy.admit(run(seed=7, strategy="none", threshold=None, learning_rate=1e9))
    seen.append(busy.train(20).loss[:, 0])
    np.testing.assert_allclose(np.concatenate(seen), expected, rtol=1e-9)


def test_random_numbers_are_a_trials_own():
    def draws(model, tokens):
        return cross_entropy(model, tokens) * (1 + random.random() + np.random.rand() + torch.rand(()))  # noqa: NPY002

    def shuffled(seed):
        return torch.utils.data.DataLoader(torch.randint(7, (40, 5)), 4, shuffle=True)

    trained = array(task(Lstm, draws, shuffled), batched=False)
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    trained.admit(run(seed=1))
    first = trained.train(20).loss[:, 0]
    trained.validation_loss(0)
    assert torch.equal(states[0], torch.get_rng_state())
    assert states[1:] == (random.getstate(), np.random.get_state()[1].tolist())  # noqa: NPY002
    again = array(task(Lstm, draws, shuffled), batched=False)
    for seed in (2, 1):
        again.admit(run(seed=seed))
    assert again.initial_losses(1) == again.initial_losses(1)
    together = again.train(20).loss
    np.testing.assert_array_equal(together[:, 1], first)
    assert (together[:, 0] != first).all()


class Branching(Recurrent):
    def forward(self, tokens):
        out = super().forward(tokens)
        return out if out.mean().item() > 0 else out * 2


class Counting(Recurrent):
    step = 0

    def forward(self, tokens):
        self.step += 1
        return super().forward(tokens) * (1 + self.step)


def teacher_forcing(model, tokens):
    return cross_entropy(model, tokens) if random.random() < 0.5 else cross_entropy(model, tokens.flip(1))


def of_every_seed(seed):
    return Recurrent(), batches_of(seed), lambda model, tokens: (seed + 1) * cross_entropy(model, tokens)


@pytest.mark.parametrize(
    ("user", "reason"),
    [
        (task(lambda: nn.Sequential(Recurrent(), nn.AlphaDropout())), "random numbers"),
        (task(loss=teacher_forcing), "random numbers"),
        (task(Branching), "item()"),
        (task(Counting), "step changes"),
        (task(batches=lambda seed: batches_of(seed, 5 + seed)), "batches differ in shape"),
        (UserModule("module:mine:problem", of_every_seed, {}, None, ""), "its loss is"),
    ],
)
def test_what_cannot_be_batched_is_trained_alone_for_a_reason_of_one_line(user, reason):
    found = tried(user)
    assert not found.batched
    assert reason in found.reason
    assert "\n" not in found.reason
    assert found.trial_bytes > 0


def test_a_first_step_that_fails_is_no_reason_to_stop():
    def bad(model, tokens):
        raise ValueError("no labels")

    assert (tried(task(loss=bad)).batched, tried(task(loss=bad)).reason) == (False, "ValueError: no labels")


def test_batches_whose_shape_changes_on_the_way_still_train():
    def last_is_short(seed):
        return [torch.randint(7, (4 if number % 5 else 2, 5)) for number in range(1, 11)]

    together, alone = (array(task(batches=last_is_short), batched=batched) for batched in (True, False))
    for one in (together, alone):
        one.admit(run(seed=1))
        one.train(3)
        one.admit(run(seed=2))
    np.testing.assert_allclose(together.train(20).loss, alone.train(20).loss, rtol=1e-9)


def test_sparse_gradients_train_as_dense_ones():
    losses = []
    for sparse in (True, False):
        trained = array(task(lambda sparse=sparse: Lstm(sparse=sparse)), optimizer="adam", batched=False)
        trained.admit(run(learning_rate=0.01))
        losses.append(trained.train(15).loss)
    np.testing.assert_allclose(*losses, rtol=1e-9)


def test_the_guard_skips_what_is_not_finite():
    def sometimes_infinite(model, batch):
        tokens, factor = batch
        return cross_entropy(model, tokens) * factor

    def batches(seed):
        return lambda step: (batches_of(seed)(step), torch.tensor(torch.inf if step == 5 + seed else 1.0))

    trained = array(task(loss=sometimes_infinite, batches=batches), batched=True, guard=True)
    for seed in (0, 1):
        trained.admit(run(seed=seed))
    telemetry = trained.train(12)
    assert np.flatnonzero(~np.isfinite(telemetry.loss[:, 0])).tolist() == [5]
    assert np.flatnonzero(telemetry.applied_norm[:, 1] == 0).tolist() == [6]


def failing(at):
    """A problem that fails for the seed 1 at some point, in a function that the traceback must name."""

    def unlucky(seed, place):
        if seed == 1 and place == at:
            raise ValueError(f"unlucky in {place}")

    def problem(seed):
        unlucky(seed, "problem")
        model = Recurrent().double()
        model.seed, model.seen = torch.tensor(seed), 0

        def batches(step):
            unlucky(seed, "batches" if step > 5 else "before")
            return batches_of(seed)(step), torch.full((4,), int((seed, at) == (1, "loss") and step > 5))

        def loss(model, batch):
            tokens, broken = batch
            return cross_entropy(model, tokens + 100 * broken[:, None])

        class Validation(list):
            def __iter__(self):
                unlucky(seed, "validation")
                return super().__iter__()

        return model, batches, loss, Validation([batches(0)])

    return UserModule("module:mine:problem", problem, {}, None, "")


@pytest.mark.parametrize("batched", [True, False])
@pytest.mark.parametrize("at", ["problem", "batches", "loss", "validation"])
def test_an_exception_ends_its_trial_with_a_traceback_and_no_other(at, batched):
    trained, calm = (array(failing(at if broken else "never"), batched=batched) for broken in (True, False))
    for one in (trained, calm):
        for seed in (0, 1, 2):
            slot = one.admit(run(seed=seed))
            one.initial_losses(slot)
    telemetry, expected = trained.train(10), calm.train(10)
    trained.validation_loss(1)
    np.testing.assert_allclose(telemetry.loss[:, [0, 2]], expected.loss[:, [0, 2]], rtol=1e-9)
    assert list(trained.failures) == [1]
    text = trained.failures[1]
    assert ("IndexError" if at == "loss" else f"ValueError: unlucky in {at}") in text
    assert "module_run.py" not in text
    assert text.count(__file__) >= 1
    assert np.isnan(trained.validation_loss(1))
    trained.evict(0)
    assert list(trained.failures) == [1]  # the last trial has moved into slot 0
    trained.evict(0)
    assert list(trained.failures) == [0]
    trained.evict(0)
    assert trained.failures == {}


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ({"module": 1}, "must return (module, batches, loss)"),
        ((Recurrent(), []), "a tuple of 2"),
        ((cross_entropy, [1], cross_entropy), "must be a torch.nn.Module, but is function"),
        ((Recurrent(), 7, cross_entropy), "must be iterable or a function of the step, but are int"),
        ((Recurrent(), [1], 0.5), "must be a function of module and batch, but is float"),
        ((Recurrent(), [], cross_entropy), "but there are none"),
        ((Recurrent(), iter([torch.zeros(2, 3).long()] * 6), cross_entropy), "they ended after 6"),
        ((nn.ReLU(), [1], cross_entropy), "no parameter to train"),
        ((Recurrent(), [torch.zeros(2, 3).long()], lambda m, b: m(b)), "a tensor of shape [2, 3, 7]"),
        ((Recurrent(), [torch.zeros(2, 3).long()], lambda m, b: 1.0), "must be a tensor without axes, but is float"),
        ((nn.ModuleList([nn.Linear(2, 2).half(), nn.Linear(2, 2)]), [1], cross_entropy),
         "of one floating-point type"),
        ((Recurrent(), [torch.zeros(2, 3).long()], cross_entropy, []), "no validation batch"),
    ],
)  # fmt: skip
def test_what_is_no_problem_is_said(made, said):
    trained = array(UserModule("module:mine:problem", lambda: made, {}, None, ""), batched=False)
    slot = trained.admit(run())
    trained.initial_losses(slot)
    trained.validation_loss(slot)
    trained.train(10)
    assert said in trained.failures[slot]


class Failing(torch.optim.SGD):
    def step(self, closure=None):
        if self.state.setdefault("steps", {"taken": 0})["taken"] == 5:
            raise ArithmeticError("no more steps")
        self.state["steps"]["taken"] += 1
        super().step()


@pytest.mark.parametrize(
    ("optimizer", "said"),
    [
        (None, "must return (module, batches, loss, validation batches, optimizer)"),
        (lambda parameters, lr: "sgd", "(optimizer, schedule), but it returned str"),
        (lambda parameters, lr: torch.optim.SGD(parameters, lr, momentum=-1), "Invalid momentum value: -1"),
        (lambda parameters, lr: ([], []), "but it returned a tuple of a list of nothing, a list of nothing"),
        (lambda parameters, lr: (torch.optim.SGD(parameters, lr), 0.5), "but it returned a tuple of SGD, float"),
        (0.1, "must be a function of parameters and learning rate, but is float"),
        (Failing, "ArithmeticError: no more steps"),
    ],
)
def test_an_own_optimizer_that_fails_ends_its_trial_and_no_other(optimizer, said):
    def problem(seed):
        return Lstm(), batches_of(seed), cross_entropy, None, optimizer if seed == 1 else adam_w

    trained = array(UserModule("module:mine:problem", problem, {}, None, ""), optimizer="own", batched=False)
    slots = [trained.admit(run(seed=seed)) for seed in (0, 1, 2)]
    telemetry = trained.train(12)
    assert said in trained.failures[slots[1]]
    assert set(trained.failures) == {slots[1]}
    assert np.isnan(telemetry.loss[-1]).tolist() == [False, True, False]


def test_another_model_for_another_seed_is_refused():
    def problem(seed):
        return nn.Linear(2, 2 + seed), [torch.ones(1, 2)], lambda m, b: m(b).sum()

    trained = array(UserModule("module:mine:problem", problem, {}, None, ""), batched=False)
    for seed in (0, 1):
        trained.admit(run(seed=seed))
    assert list(trained.failures) == [1]
    assert "every seed must give a model of the same shape" in trained.failures[1]


def test_the_initial_loss_is_that_of_the_first_batches_and_leaves_buffers_alone():
    trained = array(task(), batched=True)
    trained.admit(run(seed=2))
    torch.manual_seed(2)
    model = Recurrent().double()
    with torch.no_grad():
        expected = np.mean([float(cross_entropy(model, batches_of(2)(step))) for step in range(INITIAL_BATCHES)])
    assert np.mean(trained.initial_losses(0)) == pytest.approx(expected)
    assert np.mean(trained.initial_losses(0)) == pytest.approx(expected)
    assert trained.train(1).loss[0, 0] == pytest.approx(float(cross_entropy(model, batches_of(2)(0)).detach()))


class Carrying(Recurrent):
    """A language model that carries its hidden state from batch to batch; 4 streams in training, 2 in validation."""

    def __init__(self):
        super().__init__()
        self.hidden = None
        self.shown = None

    def forward(self, tokens):
        self.shown = self.embedding(tokens)  # kept for people to look at, and not carried
        if self.hidden is not None:
            self.shown = self.shown + self.hidden.detach()[:, None]
        self.hidden = self.shown.mean(1)
        return self.output(self.shown) * self.temperature


def carried_by_hand(model, batches, hidden=None):
    losses = []
    for tokens in batches:
        model.hidden = hidden
        losses.append(cross_entropy(model, tokens))
        hidden = model.hidden
        yield losses[-1]


def test_what_a_model_carries_begins_anew_for_training_and_for_validation():
    validation = [torch.randint(7, (2, 5), generator=torch.Generator().manual_seed(step)) for step in range(3)]
    user = task(Carrying, validation=validation)
    assert tried(user).reason == "its attribute hidden is carried from step to step"
    trained = array(user, batched=False)
    slot = trained.admit(run(strategy="none", threshold=None, learning_rate=0.1))
    batch = batches_of(0)

    torch.manual_seed(0)
    model = Carrying().double()
    with torch.no_grad():
        first = [float(loss) for loss in carried_by_hand(model, map(batch, range(INITIAL_BATCHES)))]
    np.testing.assert_allclose(trained.initial_losses(slot), first, rtol=1e-12)

    hidden, losses, of_validation = None, [], []
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], 0.1)
    recorded, validated = [], []
    for step in range(8):
        validated.append(trained.validation_loss(slot))
        recorded.append(trained.train(1).loss[0, 0])
        with torch.no_grad():
            of_validation.append(float(torch.stack(list(carried_by_hand(model, validation))).mean()))
        optimizer.zero_grad()
        (loss,) = carried_by_hand(model, [batch(step)], hidden)
        loss.backward()
        optimizer.step()
        hidden = model.hidden
        losses.append(loss.item())
    np.testing.assert_allclose(recorded, losses, rtol=1e-9)
    np.testing.assert_allclose(validated, of_validation, rtol=1e-9)


def test_a_state_that_was_not_detached_is_named():
    class Attached(Carrying):
        def forward(self, tokens):
            shown = self.embedding(tokens) if self.hidden is None else self.embedding(tokens) + self.hidden[:, None]
            self.hidden = shown.mean(1)
            return self.output(shown)

    trained = array(task(Attached), batched=False)
    slot = trained.admit(run())
    trained.train(2)
    assert "must be detached: hidden = hidden.detach()" in trained.failures[slot]


def warm_up(optimizer):
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / 8))


@pytest.mark.parametrize("as_lists", [False, True])
def test_schedules_that_are_returned_with_an_optimizer_step_after_it(as_lists):
    def both(parameters, learning_rate):
        optimizer = adam_w(parameters, learning_rate)
        return ([optimizer], [warm_up(optimizer)]) if as_lists else (optimizer, warm_up(optimizer))

    user = task(Lstm, optimizer=both)
    trained = array(user, optimizer="own", batched=False)
    trained.admit(run(strategy="none", threshold=None, learning_rate=0.05))
    losses = trained.train(20).loss[:, 0]
    assert trained.failures == {}

    torch.manual_seed(0)
    model = Lstm().double()
    optimizer = adam_w(model.parameters(), 0.05)
    schedule, by_hand = warm_up(optimizer), []
    for step in range(20):
        optimizer.zero_grad()
        loss = cross_entropy(model, batches_of(0)(step))
        loss.backward()
        optimizer.step()
        schedule.step()
        by_hand.append(loss.item())
    np.testing.assert_allclose(losses, by_hand, rtol=1e-9)
