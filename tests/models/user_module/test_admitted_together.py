"""Trials that begin together beside the same trials that begin one by one."""

import random

import numpy as np
import pytest
import torch
from module_arrays import module_array
from torch import nn

from gradstudy.models.array import INITIAL_BATCHES, TrainingRun
from gradstudy.models.user_module import untrained
from gradstudy.models.user_module.loading import UserModule

SYMBOLS, LENGTH, BATCH, HIDDEN, TRIALS = 7, 5, 3, 4, 6
CPU = torch.device("cpu")


class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.output = nn.Embedding(SYMBOLS, HIDDEN), nn.Linear(HIDDEN, SYMBOLS)

    def forward(self, words):
        return self.output(self.embedding(words))


class Deciding(Plain):
    """Drops, and goes on by a coin."""

    def __init__(self):
        super().__init__()
        self.lstm, self.dropout = nn.LSTM(HIDDEN, HIDDEN), nn.Dropout(0.3)

    def forward(self, words):
        made = self.lstm(self.dropout(self.embedding(words)))[0]
        return self.output(made if random.random() < 0.5 else -made)


class Keeping(Plain):
    """Carries its state from batch to batch, and has buffers that every batch changes."""

    def __init__(self):
        super().__init__()
        self.gru, self.norm, self.hidden = nn.GRU(HIDDEN, HIDDEN), nn.BatchNorm1d(HIDDEN), None

    def forward(self, words):
        made, hidden = self.gru(self.embedding(words), self.hidden)
        self.hidden = hidden.detach()
        return self.output(self.norm(made.flatten(0, 1)).unflatten(0, made.shape[:2]))


class Measured:
    """The user's function; counts how often the loss is called."""

    def __init__(self, make, *, beyond=(), twice=()):
        self.make, self.beyond, self.twice, self.calls = make, beyond, twice, 0

    def batch(self, seed, step):
        made = torch.Generator().manual_seed(1000 * seed + step)
        words = torch.randint(SYMBOLS, (LENGTH, BATCH), generator=made)
        if (seed, step) in self.beyond:
            words[0, 0] = SYMBOLS
        return words

    def __call__(self, seed):
        factor = 2.0 if seed in self.twice else 1.0

        def loss(model, words):
            self.calls += 1
            return factor * nn.functional.cross_entropy(model(words[:-1]).flatten(0, 1), words[1:].flatten() % SYMBOLS)

        return self.make().double(), lambda step: self.batch(seed, step), loss


def array(function):
    user = UserModule("module:m:p", function, {}, None, "")
    return module_array(user, slots=TRIALS, batch_size=BATCH, shared_draws=7)


RUNS = [TrainingRun(seed=seed, strategy="norm", threshold=0.5, learning_rate=0.3) for seed in range(TRIALS)]


def one_by_one(function):
    made = array(function)
    slots = [made.admit(run) for run in RUNS]
    return made, [made.initial_losses(slot) for slot in slots]


def together(function):
    made = array(function)
    return made, [made.initial_losses(slot) for slot in made.admit_all(RUNS)]


@pytest.mark.parametrize("make", [Plain, Deciding, Keeping])
def test_trials_that_begin_together_have_the_losses_of_those_that_begin_one_by_one(make):
    function = Measured(make)
    expected, initial_losses = one_by_one(function)
    each, function.calls = function.calls, 0
    found, of_all = together(function)
    assert function.calls < each / 2
    np.testing.assert_allclose(of_all, initial_losses, rtol=1e-10)
    np.testing.assert_allclose(found.train(10).loss, expected.train(10).loss, rtol=1e-9)
    assert found.failures == {}


def test_a_row_that_an_embedding_lacks_ends_the_trial_that_asks_for_it_only():
    expected, initial_losses = one_by_one(Measured(Plain))
    found, of_all = together(Measured(Plain, beyond=[(2, INITIAL_BATCHES - 1)]))
    assert set(found.failures) == {2}
    assert "IndexError" in found.failures[2]
    others = [slot for slot in range(TRIALS) if slot != 2]
    np.testing.assert_allclose([of_all[i] for i in others], [initial_losses[i] for i in others], rtol=1e-10)
    np.testing.assert_allclose(found.train(5).loss[:, others], expected.train(5).loss[:, others], rtol=1e-9)


def test_a_trial_that_a_batch_would_change_is_trained_on_its_own(capsys):
    function = Measured(Plain, twice=[3])
    found, of_all = together(function)
    assert "seed 3 is trained on its own: its loss is" in capsys.readouterr().err
    _, plain = one_by_one(Measured(Plain))
    plain[3] = [2 * loss for loss in plain[3]]
    np.testing.assert_allclose(of_all, plain, rtol=1e-10)
    np.testing.assert_allclose(found.train(1).loss[0], [losses[0] for losses in plain], rtol=1e-10)


@pytest.mark.parametrize("wrong", [1.01, float("nan")])
def test_losses_of_a_batch_that_is_wrong_are_measured_one_by_one(monkeypatch, wrong):
    right = untrained.batched_losses
    monkeypatch.setattr(untrained, "batched_losses", lambda *given: right(*given) * wrong)
    _, of_all = together(Measured(Deciding))
    monkeypatch.undo()
    np.testing.assert_allclose(of_all, one_by_one(Measured(Deciding))[1], rtol=1e-10)
