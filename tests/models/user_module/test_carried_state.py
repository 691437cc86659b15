"""Modules that keep something from batch to batch: in company that comes and goes beside a loop of torch."""

from collections import deque
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from module_arrays import module_array
from torch import nn
from torch.autograd import Variable

from gradstudy.models.array import INITIAL_BATCHES, TrainingRun
from gradstudy.models.user_module import gradients
from gradstudy.models.user_module.batching import try_batching
from gradstudy.models.user_module.checks import spot_check
from gradstudy.models.user_module.company import Company
from gradstudy.models.user_module.loading import UserModule
from gradstudy.models.user_module.recurrent.gru_piece import GruPiece
from gradstudy.models.user_module.state.history import NOT_DETACHED
from gradstudy.models.user_module.state.stacked_state import StackedState

CPU = torch.device("cpu")
STUDY_SEED, WORDS, LENGTH, STREAMS, HIDDEN = 7, 9, 4, 3, 5


class Language(nn.Module):
    """Every kind of recurrent layer, each with its state, and weights that are tied."""

    def __init__(self):
        super().__init__()
        self.words, self.dropout = nn.Embedding(WORDS, HIDDEN), nn.Dropout(0.2)
        self.lstm = nn.LSTM(HIDDEN, HIDDEN, num_layers=2, dropout=0.3)
        self.gru, self.rnn = nn.GRU(HIDDEN, HIDDEN), nn.RNN(HIDDEN, HIDDEN)
        cells = nn.LSTMCell, nn.GRUCell, nn.RNNCell
        self.cells = nn.ModuleList(cell(HIDDEN, HIDDEN) for cell in cells)
        self.output = nn.Linear(HIDDEN, WORDS)
        self.output.weight = self.words.weight
        self.states, self.of_cells = {"lstm": None, "gru": None, "rnn": None}, [None, None, None]

    def forward(self, words):
        x, states = self.dropout(self.words(words)), {name: detached(one) for name, one in self.states.items()}
        x, states["lstm"] = self.lstm(x, states["lstm"])
        x, states["gru"] = self.gru(x, states["gru"])
        x, states["rnn"] = self.rnn(x, states["rnn"])
        self.states, self.of_cells = states, [detached(one) for one in self.of_cells]
        for number, cell in enumerate(self.cells):
            self.of_cells[number] = cell(x[-1], self.of_cells[number])
        last = torch.stack([one[0] if isinstance(one, tuple) else one for one in self.of_cells]).sum(0)
        return self.output(x + last)


def detached(state):
    return None if state is None else tuple(map(detached, state)) if isinstance(state, tuple) else state.detach()


class Simple(nn.Module):
    """A GRU whose state is carried in ``hidden``: made, detached and kept in different ways."""

    def __init__(self):
        super().__init__()
        self.words, self.gru, self.output = (
            nn.Embedding(WORDS, HIDDEN),
            nn.GRU(HIDDEN, HIDDEN),
            nn.Linear(HIDDEN, WORDS),
        )
        self.make()

    def forward(self, words):
        x, hidden = self.gru(self.words(words), self.begin(words))
        self.keep(hidden)
        return self.output(x)

    def make(self):
        self.hidden = None

    def begin(self, words):
        return None if self.hidden is None else self.hidden.detach()

    def keep(self, hidden):
        self.hidden = hidden


class KeepsDetached(Simple):
    def begin(self, words):
        return self.hidden

    def keep(self, hidden):
        self.hidden = hidden.detach()


class FirstInForward(KeepsDetached):
    """The attribute is not there before the first step; another is looked at only."""

    def make(self):
        pass

    def begin(self, words):
        return getattr(self, "hidden", None)

    def keep(self, hidden):
        super().keep(hidden)
        self.attention = hidden.softmax(-1)


class DetachesInPlace(Simple):
    def begin(self, words):
        return None if self.hidden is None else self.hidden.detach_()


class TakesData(Simple):
    def begin(self, words):
        return None if self.hidden is None else Variable(self.hidden.data)


class WritesInPlace(Simple):
    def make(self):
        self.hidden, self.seen = torch.zeros(1, STREAMS, HIDDEN, dtype=torch.float64), torch.zeros(())

    def begin(self, words):
        return self.hidden[:, : words.shape[1]] * (1 + self.seen)

    def keep(self, hidden):
        self.hidden[:, : hidden.shape[1]].copy_(hidden.detach())
        self.seen += 0.1


class InABuffer(KeepsDetached):
    def make(self):
        self.register_buffer("hidden", torch.zeros(1, STREAMS, HIDDEN, dtype=torch.float64))

    def begin(self, words):
        return self.hidden[:, : words.shape[1]].clone()

    def keep(self, hidden):
        if self.training:
            super().keep(hidden)


class Resets(KeepsDetached):
    """What people write whose last batch is smaller."""

    def begin(self, words):
        if self.hidden is not None and self.hidden.shape[1] != words.shape[1]:
            self.hidden = None
        return self.hidden


class Schedules(KeepsDetached):
    """Scheduled sampling, and a log that grows."""

    def make(self):
        super().make()
        self.step, self.log, self.vocabulary = 0, [], {f"word {n}": n for n in range(1000)}

    def begin(self, words):
        self.step += 1
        self.log.append(words.float().mean())
        return None if self.hidden is None else self.hidden * (5 / (5 + np.exp(self.step / 5)))


class Remembers(KeepsDetached):
    """The last three states, and means over batches."""

    def make(self):
        self.states, self.mean = deque(maxlen=3), torch.zeros(())
        self.named = {"norm": None}

    def begin(self, words):
        return sum(self.states) / 3 * (1 + self.named["norm"]) if self.states else None

    def keep(self, hidden):
        self.states.append(hidden.detach())
        with torch.no_grad():
            self.mean = 0.9 * self.mean + 0.1 * hidden.mean()
            self.named["norm"] = self.mean.abs()


class FromTheThirdStep(Simple):
    def make(self):
        super().make()
        self.step = 0

    def begin(self, words):
        self.step += 1
        return super().begin(words) if self.step > 3 else None

    def keep(self, hidden):
        if self.step > 2:
            self.hidden = hidden


def loss_of(model, batch):
    words, targets = batch
    return nn.functional.cross_entropy(model(words).flatten(0, 1), targets.flatten())


def batches_of(seed):
    def batch(step):
        made = torch.Generator().manual_seed(1000 * seed + step)
        words = torch.randint(WORDS, (LENGTH + 1, 2 if step % 6 == 5 else STREAMS), generator=made)
        return words[:-1], words[1:]

    return batch


def even_batches_of(seed):
    return lambda step: batches_of(seed)(6 * step)


VALIDATION = [batches_of(77)(5), batches_of(78)(5)]


def task(make, batches=even_batches_of, loss=loss_of):
    return UserModule("module:m:p", lambda seed: (make().double(), batches(seed), loss, VALIDATION), {}, None, "")


def array(user, slots=8):
    return module_array(user, slots=slots, batch_size=STREAMS, shared_draws=STUDY_SEED)


def run(seed=0, learning_rate=0.3):
    return TrainingRun(seed=seed, strategy="norm", threshold=0.5, learning_rate=learning_rate)


def tried(user):
    return try_batching(user, "module", STREAMS, CPU, STUDY_SEED)


def by_hand(make, seed, steps, batches=even_batches_of):
    """The losses of a training loop of torch, which draws as the trial does, and the model."""
    torch.manual_seed(seed)
    model, company = make().double(), Company(STUDY_SEED)
    optimizer = torch.optim.SGD(model.parameters(), 0.3)
    losses = []
    for step in range(steps):
        with company.draws_alone(torch.tensor((seed << 32) + step), step):
            loss = loss_of(model, batches(seed)(step))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
        losses.append(loss.item())
    return losses, model


MODELS = [
    *(Language, KeepsDetached, FirstInForward, Simple, DetachesInPlace, TakesData),
    *(WritesInPlace, InABuffer, Schedules, Remembers, FromTheThirdStep),
]


@pytest.mark.parametrize("make", MODELS)
def test_what_a_module_carries_is_its_own_in_company_that_comes_and_goes(make, monkeypatch):
    assert tried(task(make)).reason is None
    trained = array(task(make))
    for seed in (1, 2, 5):
        trained.admit(run(seed))
    monkeypatch.setattr(trained, "_differentiate_alone", None)  # in which case all would fail
    seen = [trained.train(3).loss[:, 2]]
    trained.evict(0)  # the skeleton's trial goes, and 5 takes its slot
    trained.admit(run(7, learning_rate=0.1))
    trained.validation_loss(0)
    seen.append(trained.train(9).loss[:, 0])
    slot = trained.admit(run(8))
    trained.initial_losses(slot)
    trained.validation_loss(slot)
    telemetry = trained.train(12)
    seen.append(telemetry.loss[:, 0])
    assert trained.failures == {}
    np.testing.assert_allclose(np.concatenate(seen), by_hand(make, 5, 24)[0], rtol=1e-10)
    np.testing.assert_allclose(telemetry.loss[:, slot], by_hand(make, 8, 12)[0], rtol=1e-10)


@pytest.mark.parametrize("make", [Resets, Language])
def test_a_smaller_batch_that_resets_the_state_trains_on(make):
    trained = array(task(make, batches_of))
    trained.admit(run(1))
    trained.admit(run(2))
    assert trained.train(20).loss.shape == (20, 2)
    if make is Language:  # whose states do not fit, as in a plain loop
        assert all("size" in text for text in trained.failures.values())
        return
    trained.admit(run(3))
    losses = trained.train(14).loss[:, 2]
    assert trained.failures == {}
    np.testing.assert_allclose(losses, by_hand(make, 3, 14, batches_of)[0], rtol=1e-10)


def test_a_trial_is_the_same_with_other_trials_and_after_a_validation_of_other_shapes():
    expected, model = by_hand(Language, 4, 10)
    trained = array(task(Language))
    trained.admit(run(4))
    first = trained.initial_losses(0)
    trained.validation_loss(0)
    np.testing.assert_allclose(trained.train(10).loss[:, 0], expected, rtol=1e-10)
    assert first[0] == pytest.approx(expected[0])
    assert len(first) == INITIAL_BATCHES
    fresh = Language().double().eval()
    fresh.load_state_dict(model.state_dict())
    with torch.no_grad():
        of_validation = [float(loss_of(fresh, batch)) for batch in VALIDATION]
    assert trained.validation_loss(0) == pytest.approx(np.mean(of_validation))


def test_trials_that_count_steps_are_batched_with_those_at_the_same_step():
    assert [tried(task(make)).counts_steps for make in (Schedules, KeepsDetached, Language)] == [True, False, False]


class NeverDetaches(Simple):
    def begin(self, words):
        return self.hidden


class DetachesAtFirst(NeverDetaches):
    """What two steps cannot show."""

    def make(self):
        self.hidden, self.step = None, 0

    def begin(self, words):
        self.step += 1
        return Simple.begin(self, words) if self.step < 6 else self.hidden


def test_a_state_that_is_not_detached_fails_in_company_as_alone():
    assert NOT_DETACHED.removesuffix(".") in tried(task(NeverDetaches)).reason
    assert tried(task(DetachesAtFirst)).batched
    trained = array(task(DetachesAtFirst))
    for seed in (1, 2):
        trained.admit(run(seed))
    losses = trained.train(10).loss
    assert set(trained.failures) == {0, 1}
    assert all(NOT_DETACHED in text for text in trained.failures.values())
    np.testing.assert_allclose(losses[:5, 1], by_hand(DetachesAtFirst, 2, 5)[0], rtol=1e-10)
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        by_hand(DetachesAtFirst, 2, 6)


class KeepsAnObject(KeepsDetached):
    def keep(self, hidden):
        super().keep(hidden)
        self.last = lambda: hidden


class KeepsInAnObject(KeepsDetached):
    """Which is used later than the steps that are compared."""

    def make(self):
        self.state, self.step = SimpleNamespace(hidden=None), 0

    def begin(self, words):
        self.step += 1
        return self.state.hidden if self.step > 9 else None

    def keep(self, hidden):
        self.state.hidden = hidden.detach()


class InAClosure(KeepsDetached):
    """Where torch would take the last batch's tensors of all runs for those of this one."""

    def make(self):
        held, self.step = {}, 0
        self.begin = lambda words: held.get("hidden") if self.step > 1 else None
        self.keep = lambda hidden: held.update(hidden=hidden.detach())

    def forward(self, words):
        self.step += 1
        return super().forward(words)


class CountsInAnArray(KeepsDetached):
    def make(self):
        super().make()
        self.counts = np.zeros(2)

    def begin(self, words):
        self.counts[0] += 1
        return super().begin(words)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (KeepsAnObject, "its attribute last changes from step to step, and holds an object, function"),
        (KeepsInAnObject, "its attribute state changes from step to step, and holds an object, SimpleNamespace"),
        (CountsInAnArray, "its attribute counts changes from step to step, and holds an object, ndarray"),
        (InAClosure, "its loss is"),
    ],
)
def test_what_cannot_be_carried_is_trained_alone(make, reason):
    found = tried(task(make))
    assert not found.batched
    assert reason in found.reason


class Drawn(KeepsDetached):
    """Begins with a state that its hook draws."""

    def make(self):
        self.hidden, self.resets = None, []

    def reset_state(self):
        self.hidden = torch.randn(1, 1, HIDDEN, dtype=torch.float64)

    def begin(self, words):
        return self.hidden.expand(1, words.shape[1], HIDDEN) if self.hidden.shape[1] == 1 else self.hidden


class Needing(KeepsDetached):
    def reset_state(self, streams):
        raise AssertionError("there is nothing to call this with")


def test_a_module_resets_its_own_state_where_it_begins_anew():
    assert tried(task(Drawn)).reason is None
    alone, trained = array(task(Drawn)), array(task(Drawn))
    alone.admit(run(3))
    expected = alone.train(10).loss[:, 0]
    for seed in (2, 3):
        slot = trained.admit(run(seed))
        first = trained.initial_losses(slot)
        trained.validation_loss(slot)
    losses = trained.train(5).loss[:, 1]
    assert trained.validation_loss(1) == trained.validation_loss(1)
    np.testing.assert_allclose(np.concatenate([losses, trained.train(5).loss[:, 1]]), expected, rtol=1e-10)
    assert first[0] == pytest.approx(losses[0])
    assert trained.failures == {}


def test_a_method_that_needs_arguments_is_no_hook():
    assert tried(task(Needing)).batched


@pytest.mark.parametrize("make", [KeepsDetached, WritesInPlace, InABuffer, Language])
@pytest.mark.parametrize("broken", ["runs", "tensors"])
def test_a_state_that_is_given_back_wrongly_is_found_out(make, broken, monkeypatch):
    hand_back = StackedState.hand_back

    def wrong(self, runs, tensors, finite):
        tensors = [tensor.flip(0) if broken == "runs" else 1.01 * tensor for tensor in tensors]
        hand_back(self, runs, tensors, finite)

    assert tried(task(make)).batched
    monkeypatch.setattr(StackedState, "hand_back", wrong)
    assert tried(task(make)).batched == (make is InABuffer)  # which torch itself gives back


def always(monkeypatch, *, due):
    monkeypatch.setattr(spot_check.SpotChecks, "due", lambda self: due)


@pytest.mark.sampled
@pytest.mark.parametrize("make", [*MODELS, Drawn])
def test_looking_at_a_trial_alone_finds_nothing_and_changes_nothing(make, monkeypatch):
    found, in_float64 = [], []
    suspicion, differs = gradients.suspicion, spot_check.in_float64_differs

    def noting(*given, **more):
        found.append(suspicion(*given, **more))
        return found[-1]

    def doubting(*given, **more):
        suspicion(*given, **more)
        return "it may differ"

    def doubled(*given, **more):
        in_float64.append(differs(*given, **more))
        return in_float64[-1]

    monkeypatch.setattr(spot_check, "in_float64_differs", doubled)
    losses = []
    for due, look in ((False, noting), (True, noting), (True, doubting)):
        always(monkeypatch, due=due)
        monkeypatch.setattr(gradients, "suspicion", look)
        trained = array(task(make))
        for seed in (1, 2):
            trained.admit(run(seed))
        first = trained.train(5).loss
        trained.admit(run(3))
        losses.append((first, trained.train(7).loss))
        assert trained.failures == {}
        assert trained._alone == [False] * 3
    assert len(found) >= 12
    assert len(in_float64) >= 12
    assert {*found, *in_float64} == {None}
    for of_checked in losses[1:]:
        for one, other in zip(losses[0], of_checked, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("make", [KeepsDetached, Language])
@pytest.mark.parametrize("broken", ["runs", "tensors"])
def test_a_state_that_is_given_back_wrongly_later_ends_its_trials(make, broken, monkeypatch):
    trained = array(task(make))
    for seed in (1, 2):
        trained.admit(run(seed))
    trained.train(5)
    assert trained.failures == {}
    hand_back = StackedState.hand_back

    def wrong(self, runs, tensors, finite):
        tensors = [tensor.flip(0) if broken == "runs" else 1.01 * tensor for tensor in tensors]
        hand_back(self, runs, tensors, finite)

    monkeypatch.setattr(StackedState, "hand_back", wrong)
    trained.train(20)
    assert set(trained.failures) == {0, 1}
    assert "this model computed something else in a batch than alone: its attribute" in trained.failures[0]
    trained.evict(0)
    trained.admit(run(3))
    np.testing.assert_allclose(trained.train(5).loss[:, 1], by_hand(make, 3, 5)[0], rtol=1e-10)


@pytest.mark.parametrize("make", [Simple, WritesInPlace, InABuffer, Schedules])
def test_what_is_not_finite_in_a_batch_goes_on_from_the_state_before(make, monkeypatch):
    trained = array(task(make))
    for seed in (1, 2):
        trained.admit(run(seed))
    first = trained.train(4).loss
    weight_gradients = GruPiece.weight_gradients

    def not_a_number(self, *given):
        *others, last = weight_gradients(self, *given)
        return *others, last * torch.nan

    monkeypatch.setattr(GruPiece, "weight_gradients", not_a_number)
    losses = np.concatenate([first, trained.train(6).loss])
    for slot, seed in enumerate((1, 2)):
        np.testing.assert_allclose(losses[:, slot], by_hand(make, seed, 10)[0], rtol=1e-10)
