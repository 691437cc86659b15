"""Rules that are broken on purpose, one at a time: each is found out, and trials are trained alone, and right."""

import dataclasses

import numpy as np
import pytest
import torch
from module_arrays import module_array
from torch import nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from gradstudy.models.array import TrainingRun
from gradstudy.models.user_module.batching import try_batching
from gradstudy.models.user_module.checks import spot_check
from gradstudy.models.user_module.company import Company
from gradstudy.models.user_module.loading import UserModule
from gradstudy.models.user_module.operations import answers, ctc, selected
from gradstudy.models.user_module.recurrent import calls, gru_piece, lstm_piece, packed, rnn_piece, stack, tape

CPU = torch.device("cpu")
STUDY_SEED, WORDS, SIZE, LENGTH, BATCH, STEPS = 7, 9, 4, 5, 3, 3
CELLS = {nn.LSTM: nn.LSTMCell, nn.GRU: nn.GRUCell, nn.RNN: nn.RNNCell}


class Net(nn.Module):
    """Packed layers of both directions learned initial states, dropout, cells, a wasted call, many losses."""

    def __init__(self, layer):
        super().__init__()
        self.kind, self.state = layer, 3 if layer is nn.LSTM else SIZE
        options = {"proj_size": 3} if layer is nn.LSTM else {}
        self.embedding = nn.Embedding(WORDS, SIZE, padding_idx=0)
        self.layer = layer(SIZE, SIZE, 2, bidirectional=True, dropout=0.3, **options)
        self.first = nn.ParameterList([nn.Parameter(torch.randn(4, 1, n)) for n in (self.state, SIZE)])
        self.cell, self.output = CELLS[layer](2 * self.state, SIZE), nn.Linear(SIZE, WORDS)
        self.scores = nn.utils.parametrizations.weight_norm(nn.Linear(2 * self.state, WORDS))

    def forward(self, words, lengths):
        first = [one.expand(-1, BATCH, -1).contiguous() for one in self.first]
        packed_words = pack_padded_sequence(self.embedding(words), lengths, enforce_sorted=False)
        made, ended = self.layer(packed_words, tuple(first) if self.kind is nn.LSTM else first[0])
        targets = pack_padded_sequence(words, lengths, enforce_sorted=False).data
        loss = functional.cross_entropy(self.scores(made.data), targets)
        outputs, _ = pad_packed_sequence(made)
        self.layer(outputs[..., :SIZE] / 0)
        state = None
        for x in outputs:
            state = self.cell(x, state)
        h = state[0] if self.kind is nn.LSTM else state
        ends = ended if self.kind is nn.LSTM else (ended,)
        log_probs = functional.log_softmax(self.scores(outputs), -1)
        uniform = torch.full_like(log_probs, 1 / WORDS)
        return (
            loss
            + sum((end**2).mean() for end in ends)
            + functional.cross_entropy(self.output(h), words[0])
            + functional.kl_div(log_probs, uniform, reduction="batchmean")
            + functional.ctc_loss(
                log_probs, words[:2].t().clamp(1), lengths, torch.full((BATCH,), 2), zero_infinity=True
            )
            + log_probs[words != 0].mean()
        )


def batches_of(seed):
    def batch(step):
        made = torch.Generator().manual_seed(1000 * seed + step)
        lengths = torch.randint(2, LENGTH, (BATCH,), generator=made)
        lengths[step % BATCH] = LENGTH
        words = torch.randint(1, WORDS, (LENGTH, BATCH), generator=made)
        words[1, 1] = 0
        return words, lengths

    return batch


def loss_of(model, batch):
    return model(*batch)


def task(layer, dtype=torch.float64):
    return UserModule("module:m:p", lambda seed: (Net(layer).to(dtype), batches_of(seed), loss_of), {}, None, "")


def tried(user):
    return try_batching(user, "module", BATCH, CPU, STUDY_SEED)


def array(user, *, batched=True):
    return module_array(user, slots=2, batch_size=BATCH, steps=300, batched=batched, shared_draws=STUDY_SEED)


def admit(trained, seed):
    trained.admit(TrainingRun(seed=seed, strategy="norm", threshold=0.5, learning_rate=0.1))


def by_hand(layer, seed, steps, dtype=torch.float64, *, shared_draws=STUDY_SEED):
    torch.manual_seed(seed)
    model, company = Net(layer).to(dtype), Company(shared_draws)
    optimizer, losses = torch.optim.SGD(model.parameters(), 0.1), []
    for step in range(steps):
        with company.draws_alone(torch.tensor((seed << 32) + step), step):
            loss = loss_of(model, batches_of(seed)(step))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
        losses.append(loss.item())
    return losses


def of_weights(change):
    """Breaks how weights are read: ``change`` gets and returns those of each direction of each layer."""
    return lambda split: lambda self, tensors: change(split(self, tensors))


def each(**changes):
    def changed(parts):
        return [
            dataclasses.replace(one, **{name: change(getattr(one, name)) for name, change in changes.items()})
            for one in parts
        ]

    return of_weights(changed)


def rolled(tensor):
    return tensor.roll(SIZE, 1)


def without(number, factor=0.0):
    """Of what a function returns, one part is lost."""

    def broken(function):
        def lossy(*given):
            found = list(function(*given))
            found[number] = factor * found[number]
            return tuple(found)

        return lossy

    return broken


def last_step_left_out(function):
    def lossy(self):
        self.gates[:, self.used - 1] = 0
        return function(self)

    return lossy


def one_less(function):
    return lambda lengths, steps: function(lengths - 1, steps)


def nothing(function):
    return lambda *given: None


def same(function):
    return lambda self, x: x


def of_draw(function):
    return lambda keys, draw, *more: function(keys, draw + 1, *more)


def of_trial(function):
    return lambda keys, *more: function(keys.roll(1) + 1, *more)


def all_inside(function):
    return lambda each, mask: function(each, torch.ones_like(mask))


def not_a_number(function):
    return lambda self, *given: (found := function(self, *given)) and (*found[:-1], found[-1] * torch.nan)


RULES = {
    "gates of the inputs in another order": (nn.LSTM, stack.Stack, "split", each(input=rolled)),
    "gates of the state in another order": (nn.GRU, stack.Stack, "split", each(recurrent=rolled)),
    "a transposed weight": (nn.RNN, stack.Stack, "split", each(recurrent=lambda weight: weight.mT)),
    "a forgotten bias": (nn.GRU, stack.Stack, "split", each(biases=lambda both: (both[0], 0 * both[1]))),
    "a projection that is scaled": (nn.LSTM, stack.Stack, "split", each(
        projection=lambda weight: None if weight is None else weight * 1.01
    )),
    "layers in another order": (nn.GRU, stack.Stack, "split", of_weights(
        lambda parts: [*parts[:-2], *reversed(parts[-2:])]
    )),
    "the wrong nonlinearity": (nn.RNN, rnn_piece.RnnPiece, "__init__", lambda init: (
        lambda self, weights, batch, room, _: init(self, weights, batch, room, "relu")
    )),
    "a direction that is not reversed": (nn.LSTM, stack._Order, "__call__", same),
    "lengths that are one too short": (nn.GRU, stack, "within", one_less),
    "lengths of packed rows that are one too short": (nn.RNN, packed, "within", one_less),
    "last states of padding": (nn.RNN, calls, "last_of", lambda last_of: lambda states, first, steps, lengths: last_of(
        states, first, steps, None
    )),
    "a mask of another draw": (nn.LSTM, stack, "dropout_masks", of_draw),
    "a mask of another trial": (nn.GRU, stack, "dropout_masks", of_trial),
    "a gradient without the last state's": (nn.GRU, gru_piece, "with_last", lambda with_last: (
        lambda outputs, h, *more: with_last(outputs, None, *more)
    )),
    "a lost gradient of the inputs": (nn.LSTM, lstm_piece.LstmPiece, "backward", without(0, 0.99)),
    "a lost gradient of the initial hidden state": (nn.RNN, rnn_piece.RnnPiece, "backward", without(1)),
    "a lost gradient of the initial cell state": (nn.LSTM, lstm_piece.LstmPiece, "backward", without(2)),
    "weights without the last step": (nn.LSTM, lstm_piece.LstmPiece, "weight_gradients", last_step_left_out),
    "weights of the GRU without the last step": (nn.GRU, gru_piece.GruPiece, "weight_gradients", last_step_left_out),
    "a lost gradient of a bias": (nn.RNN, rnn_piece.RnnPiece, "weight_gradients", without(-1)),
    "a lost gradient of the projection": (nn.LSTM, lstm_piece.LstmPiece, "weight_gradients", without(-1)),
    "a gradient that is not a number": (nn.GRU, gru_piece.GruPiece, "weight_gradients", not_a_number),
    "a wasted call that counts": (nn.RNN, tape.Piece, "forget", nothing),
    "padding that is trained": (nn.GRU, answers.ANSWERS, functional.embedding, lambda _: functional.embedding),
    "a divergence with the sign turned": (nn.RNN, answers.ANSWERS, functional.kl_div, lambda kl_div: (
        lambda *given, **more: -kl_div(*given, **more)
    )),
    "a norm over the wrong axis": (nn.RNN, answers.ANSWERS, torch._weight_norm, lambda norm: lambda v, g, dim: norm(
        v, g.norm(), -1
    )),
    "a mean of what no mask selects": (nn.RNN, selected, "_total", all_inside),
    "a blank that is another symbol": (nn.RNN, ctc._EachLoss, "apply", lambda apply: (
        lambda *given: apply(*given[:-2], 1, True)
    )),
}  # fmt: skip

SMALL = ("padding that is trained",)
"""Rules whose gradients are too small a part of all for the first step of one trial, in float32."""


@pytest.fixture(autouse=True)
def _double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("layer", CELLS)
def test_without_a_broken_rule_all_is_batched(layer):
    assert tried(task(layer)).reason is None
    trained = array(task(layer))
    for seed in (1, 2):
        admit(trained, seed)
    assert trained._alone == [False, False]
    losses = trained.train(STEPS).loss
    for slot, seed in enumerate((1, 2)):
        np.testing.assert_allclose(losses[:, slot], by_hand(layer, seed, STEPS), rtol=1e-10)


@pytest.mark.parametrize("rule", RULES)
def test_a_broken_rule_is_found_out_and_trials_are_right_without_it(rule, monkeypatch):
    layer, where, name, broken = RULES[rule]
    if isinstance(where, dict):
        monkeypatch.setitem(where, name, broken(where[name]))
    else:
        monkeypatch.setattr(where, name, broken(getattr(where, name)))
    found = tried(task(layer))
    assert found.reason is not None
    assert not found.batched
    trained = array(task(layer), batched=False)
    admit(trained, 2)
    losses = trained.train(STEPS).loss
    np.testing.assert_allclose(losses[:, 0], by_hand(layer, 2, STEPS, shared_draws=None), rtol=1e-10)
    if rule not in SMALL:
        trusting = array(task(layer))
        admit(trusting, 2)
        np.testing.assert_allclose(trusting.train(STEPS).loss[:, 0], by_hand(layer, 2, STEPS), rtol=1e-10)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_rule_that_breaks_later_ends_its_trials_and_those_after_them_are_right(dtype, monkeypatch):
    torch.set_default_dtype(dtype)
    trained = array(task(nn.GRU, dtype))
    for seed in (1, 2):
        admit(trained, seed)
    trained.train(20)
    assert trained.failures == {}
    monkeypatch.setattr(calls, "last_of", lambda states, first, steps, lengths: states[:, first + steps].clone())
    trained.train(64)
    assert set(trained.failures) == {0, 1}
    assert "this model computed something else in a batch than alone" in trained.failures[0]
    assert "problem.one_at_a_time = True" in trained.failures[1]
    trained.evict(0)
    admit(trained, 3)
    tolerance = 1e-10 if dtype == torch.float64 else 1e-4
    np.testing.assert_allclose(trained.train(STEPS).loss[:, 1], by_hand(nn.GRU, 3, STEPS, dtype), rtol=tolerance)


def test_what_is_not_finite_in_a_batch_is_that_of_the_module_alone(monkeypatch):
    trained = array(task(nn.GRU))
    for seed in (1, 2):
        admit(trained, seed)
    monkeypatch.setattr(spot_check.SpotChecks, "due", lambda self: False)
    monkeypatch.setattr(gru_piece.GruPiece, "weight_gradients", not_a_number(gru_piece.GruPiece.weight_gradients))
    losses = trained.train(STEPS).loss
    for slot, seed in enumerate((1, 2)):
        np.testing.assert_allclose(losses[:, slot], by_hand(nn.GRU, seed, STEPS), rtol=1e-10)


def test_what_only_rounding_makes_differ_goes_on_in_a_batch(monkeypatch):
    torch.set_default_dtype(torch.float32)
    trained = array(task(nn.GRU, torch.float32))
    for seed in (1, 2):
        admit(trained, seed)
    monkeypatch.setattr(spot_check, "TOLERANCE", 0.0)
    looked_at = []
    differs = spot_check.in_float64_differs
    monkeypatch.setattr(
        spot_check, "in_float64_differs", lambda *given, **more: looked_at.append(1) or differs(*given, **more)
    )
    trained.train(20)
    assert len(looked_at) > 2
    assert trained.failures == {}
    assert trained._alone == [False, False]


def test_a_function_can_ask_for_one_at_a_time():
    user = task(nn.GRU)
    user.function.one_at_a_time = True
    assert tried(user).reason == "its function has one_at_a_time = True"
