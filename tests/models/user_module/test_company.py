"""Models of torch's recurrent layers that drop and decide by random draws: in company, alone, and by hand."""

import random

import numpy as np
import pytest
import torch
from module_arrays import module_array
from thresholds import AFTER_BACKWARD
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from gradstudy.models.array import TrainingRun
from gradstudy.models.clipping import Clipper
from gradstudy.models.strategies import STRATEGIES
from gradstudy.models.user_module.batching import try_batching
from gradstudy.models.user_module.checks.spot_check import SpotChecks
from gradstudy.models.user_module.company import Company
from gradstudy.models.user_module.draws import keyed_random
from gradstudy.models.user_module.loading import UserModule
from gradstudy.models.user_module.random_state import DRAWS
from gradstudy.models.user_module.recurrent import calls, lstm_piece, stack

CPU = torch.device("cpu")
STUDY_SEED, SYMBOLS, LENGTH, BATCH, HIDDEN = 7, 9, 5, 4, 6


class Seq2Seq(nn.Module):
    """Packed sequences into a bidirectional encoder, a decoder loop with dropout and teacher forcing."""

    def __init__(self):
        super().__init__()
        self.embedding, self.dropout = nn.Embedding(SYMBOLS, HIDDEN), nn.Dropout(0.2)
        self.encoder = nn.LSTM(HIDDEN, HIDDEN, num_layers=2, bidirectional=True, dropout=0.3)
        self.decoder, self.output = nn.LSTM(HIDDEN, 2 * HIDDEN), nn.Linear(2 * HIDDEN, SYMBOLS)

    def forward(self, source, lengths, target):
        given = self.dropout(self.embedding(source))
        memory, (h, c) = self.encoder(pack_padded_sequence(given, lengths.cpu(), enforce_sorted=False))
        memory, _ = pad_packed_sequence(memory)
        state = tuple(torch.cat([one[-2], one[-1]], 1).unsqueeze(0) for one in (h, c))
        outputs = torch.zeros(len(target), BATCH, SYMBOLS, dtype=memory.dtype)
        symbol = target[0]
        for t in range(1, len(target)):
            made, state = self.decoder(self.dropout(self.embedding(symbol.unsqueeze(0))), state)
            outputs[t] = self.output(made[0] + memory.mean(0))
            symbol = target[t] if random.random() < 0.5 else outputs[t].argmax(1)
        return outputs[1:]


def loss_of(model, batch):
    source, lengths, target = batch
    return nn.functional.cross_entropy(model(source, lengths, target).flatten(0, 1), target[1:].flatten())


def batches_of(seed):
    def batch(step):
        made = torch.Generator().manual_seed(1000 * seed + step)
        lengths = torch.randint(1, LENGTH + 1, (BATCH,), generator=made)
        lengths[step % BATCH] = LENGTH
        source, target = torch.randint(SYMBOLS, (2, LENGTH, BATCH), generator=made)
        return source, lengths, target

    return batch


def task(make=Seq2Seq, loss=loss_of):
    return UserModule("module:m:p", lambda seed: (make().double(), batches_of(seed), loss), {}, None, "")


def array(user, *, slots=8, shared_draws=STUDY_SEED):
    return module_array(user, slots=slots, batch_size=BATCH, shared_draws=shared_draws)


def run(seed=0, strategy="norm", threshold=0.5, learning_rate=0.3):
    return TrainingRun(seed=seed, strategy=strategy, threshold=threshold, learning_rate=learning_rate)


def by_hand(setting, steps):
    """The losses of a training loop of torch, which draws as the trial does."""
    torch.manual_seed(setting.seed)
    model, company = Seq2Seq().double(), Company(STUDY_SEED)
    optimizer = torch.optim.SGD(model.parameters(), setting.learning_rate)
    clip = Clipper(setting.strategy, setting.threshold)
    losses = []
    for step in range(steps):
        with company.draws_alone(torch.tensor((setting.seed << 32) + step), step):
            loss = loss_of(model, batches_of(setting.seed)(step))
        optimizer.zero_grad()
        loss.backward()
        clip(model.parameters())
        optimizer.step()
        losses.append(loss.item())
    return losses


def tried(user, shared_draws=STUDY_SEED):
    return try_batching(user, "module", BATCH, CPU, shared_draws)


def test_a_model_that_packs_drops_and_decides_is_batched():
    found = tried(task())
    assert (found.batched, found.reason, found.shares_coins) == (True, None, True)
    alone = tried(task(), None)
    assert (alone.batched, alone.shares_coins) == (False, False)
    assert "draws random numbers" in alone.reason


def test_every_strategy_in_company_is_a_loop_of_torch(monkeypatch):
    settings = [
        run(seed=seed, strategy=name, threshold=None if STRATEGIES[name].unit is None else 0.8, learning_rate=0.05)
        for seed, name in enumerate(AFTER_BACKWARD)
    ]
    trained = array(task(), slots=len(settings))
    for setting in settings:
        trained.admit(setting)
    monkeypatch.setattr(trained, "_differentiate_alone", None)  # in which case all would fail
    losses = trained.train(20).loss
    assert trained.failures == {}
    for slot, setting in enumerate(settings):
        np.testing.assert_allclose(losses[:, slot], by_hand(setting, 20), rtol=1e-10)


def test_a_trial_is_the_same_alone_and_in_company_that_comes_and_goes():
    setting = run(seed=5)
    expected = by_hand(setting, 30)
    alone = array(task())
    slot = alone.admit(setting)
    np.testing.assert_allclose(alone.train(30).loss[:, slot], expected, rtol=1e-9)
    busy = array(task())
    for seed in (1, 2, 5):
        busy.admit(run(seed=seed))
    first = busy.initial_losses(2)
    seen = [busy.train(10).loss[:, 2]]
    assert first[0] == pytest.approx(seen[0][0])
    busy.evict(0)
    busy.admit(run(seed=7, strategy="none", threshold=None, learning_rate=1e9))
    seen.append(busy.train(20).loss[:, 0])
    np.testing.assert_allclose(np.concatenate(seen), expected, rtol=1e-9)


def test_trials_share_the_coins_of_a_step_and_nothing_that_they_drop(monkeypatch):
    monkeypatch.setattr(SpotChecks, "due", lambda self: False)  # which draws them once more
    coins = []

    def noting(model, batch):
        coins.append((random.random(), float(np.random.rand())))  # noqa: NPY002
        return loss_of(model, batch)

    states = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    trained = array(task(loss=noting))
    for seed in (1, 2):
        trained.admit(run(seed=seed))
        trained.initial_losses(seed - 1)
    of_steps = coins[-16:]
    coins.clear()
    trained.train(4)
    assert coins == of_steps[:4]
    trained.evict(0)
    trained.admit(run(seed=3))
    coins.clear()
    trained.train(2)
    assert sorted(coins) == sorted([of_steps[0], of_steps[1], of_steps[4], of_steps[5]])
    assert states == (random.getstate(), np.random.get_state()[1].tolist())  # noqa: NPY002


def test_with_own_draws_a_model_that_drops_is_trained_alone_with_the_trials_own_generator():
    trained = array(task(), shared_draws=None)
    trained.admit(run(seed=3, strategy="none", threshold=None))
    recorded = trained.train(5).loss[:, 0]
    torch.manual_seed(3)
    random.seed(3)
    model, losses = Seq2Seq().double(), []
    optimizer = torch.optim.SGD(model.parameters(), 0.3)
    for step in range(5):
        loss = loss_of(model, batches_of(3)(step))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    np.testing.assert_allclose(recorded, losses, rtol=1e-9)


def test_dropout_between_layers_is_a_draw_as_any_other():
    def make():
        class Layers(nn.Module):
            def __init__(self):
                super().__init__()
                self.lstm = nn.LSTM(3, HIDDEN, num_layers=2, dropout=0.5)

            def forward(self, x):
                return self.lstm(x)[0].mean()

        batches = [torch.randn(LENGTH, BATCH, 3) for _ in range(20)]
        return Layers(), batches, lambda model, x: model(x)

    user = UserModule("module:m:p", lambda seed: make(), {}, None, "")
    assert tried(user).batched
    assert tried(user, None).reason == DRAWS


def halved(function):
    return lambda *given: function(*given) / 2


def without_last(function):
    return lambda *given: (*function(*given)[:-1], 0 * function(*given)[-1])


@pytest.mark.parametrize(
    ("where", "name", "broken"),
    [
        (keyed_random, "dropout_masks", lambda masks: lambda keys, draw, *of_one: masks(keys, draw + 1, *of_one)),
        (stack, "dropout_masks", halved),
        (calls, "last_of", lambda last_of: lambda states, first, steps, lengths: last_of(states, first, steps, None)),
        (lstm_piece, "with_last", lambda with_last: lambda outputs, h, *more: with_last(outputs, None, *more)),
        (lstm_piece.LstmPiece, "weight_gradients", without_last),
    ],
)
def test_a_rule_that_is_broken_on_purpose_is_found_out(monkeypatch, where, name, broken):
    assert tried(task()).batched
    monkeypatch.setattr(where, name, broken(getattr(where, name)))
    found = tried(task())
    assert not found.batched
    assert "its loss is" in found.reason or "its gradient differs" in found.reason
