"""Batches of different lengths: padded to one where the model does not mind, and never where it does."""

import numpy as np
import pytest
import torch
from module_arrays import module_array
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

from gradstudy.models.array import TrainingRun
from gradstudy.models.user_module.batching import MOST_SHAPES, try_batching
from gradstudy.models.user_module.checks.spot_check import LOOKED_AT
from gradstudy.models.user_module.loading import UserModule
from gradstudy.models.user_module.padding import Padding

CPU = torch.device("cpu")
BATCH, WORDS, TAGS, HIDDEN, LONGEST = 5, 12, 4, 6, 9
IGNORED = -100


class Tagger(nn.Module):
    """Dropout, recurrent layers over padded words, a tag for each."""

    batch_first = False

    def __init__(self):
        super().__init__()
        self.embedding, self.dropout = nn.Embedding(WORDS, HIDDEN), nn.Dropout(0.2)
        self.lstm, self.output = nn.LSTM(HIDDEN, HIDDEN, batch_first=self.batch_first), nn.Linear(HIDDEN, TAGS)

    def forward(self, words, lengths):
        return self.output(self.dropout(self.lstm(self.dropout(self.embedding(words)))[0]))


class PackedTagger(Tagger):
    """The same in both directions of packed sequences, whose longest differ."""

    def __init__(self):
        super().__init__()
        self.lstm, self.output = nn.LSTM(HIDDEN, HIDDEN, bidirectional=True), nn.Linear(2 * HIDDEN, TAGS)

    def forward(self, words, lengths):
        packed = pack_padded_sequence(self.dropout(self.embedding(words)), lengths, enforce_sorted=False)
        padded, _ = pad_packed_sequence(self.lstm(packed)[0])
        return self.output(self.dropout(padded))


class Attending(Tagger):
    """Attends to all words that are not padding."""

    masks = True

    def forward(self, words, lengths):
        memory = self.lstm(self.embedding(words))[0].transpose(0, 1)
        scores = memory @ memory.transpose(1, 2)
        if self.masks:
            padding = torch.arange(len(words)) >= lengths.unsqueeze(1)
            scores = scores.masked_fill(padding.unsqueeze(1), float("-inf"))
        return self.output((scores.softmax(2) @ memory).transpose(0, 1))


class Unmasked(Attending):
    masks = False


class Normalized(Tagger):
    """Batch normalization, whose statistics count padding."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(HIDDEN)

    def forward(self, words, lengths):
        states = self.lstm(self.embedding(words))[0]
        return self.output(self.norm(states.flatten(0, 1)).unflatten(0, states.shape[:2]))


class Tracked(Normalized):
    """The same statistics, which nothing but its buffers tells."""

    def forward(self, words, lengths):
        states = self.lstm(self.embedding(words))[0]
        with torch.no_grad():
            self.norm(states.flatten(0, 1))
        return self.output(states)


class BatchFirst(Tagger):
    """Batch first, where what is dropped depends on how long the sequences are."""

    batch_first = True

    def forward(self, words, lengths):
        return super().forward(words.T, lengths).transpose(0, 1)


class BatchFirstWithoutDropout(BatchFirst):
    def __init__(self):
        super().__init__()
        self.dropout = nn.Identity()


class LengthCounting(Tagger):
    """Scales with the length of the batch that it sees."""

    def forward(self, words, lengths):
        return super().forward(words, lengths) * len(words)


class MindsLater(Tagger):
    """Counts padding once its weights have moved."""

    def __init__(self):
        super().__init__()
        self.first = nn.Buffer(self.output.weight.detach().clone())

    def forward(self, words, lengths):
        moved = (self.output.weight - self.first).abs().sum()
        return super().forward(words, lengths) * (1 + moved * (words == 0).sum())


def mean_over_tags(model, batch):
    words, tags, lengths = batch
    made = model(words, lengths)
    return nn.functional.cross_entropy(made.flatten(0, 1), tags[: len(made)].flatten(), ignore_index=IGNORED)


def mean_with_padding(model, batch):
    words, tags, lengths = batch
    made = model(words, lengths).flatten(0, 1)
    each = nn.functional.cross_entropy(made, tags.flatten(), ignore_index=IGNORED, reduction="none")
    return each.mean()


def batches_of(seed):
    def batch(step):
        made = torch.Generator().manual_seed(1000 * seed + step)
        longest = int(torch.randint(2, LONGEST + 1, (), generator=made))
        lengths = torch.randint(1, longest + 1, (BATCH,), generator=made)
        words = [torch.randint(1, WORDS, (int(length),), generator=made) for length in lengths]
        tags = [each % TAGS for each in words]
        return pad_sequence(words), pad_sequence(tags, padding_value=IGNORED), lengths

    return batch


def task(make, loss=mean_over_tags, batches=batches_of):
    return UserModule("module:m:p", lambda seed: (make().double(), batches(seed), loss), {}, None, "")


def tried(user):
    return try_batching(user, "module", BATCH, CPU, 7)


def array(user, *, batched=True, padding=None):
    return module_array(user, slots=8, batch_size=BATCH, batched=batched, shared_draws=7, padding=padding)


def admit(trained, *seeds):
    for seed in seeds:
        trained.admit(TrainingRun(seed=seed, strategy="norm", threshold=0.5, learning_rate=0.3))


@pytest.fixture
def all_alone(monkeypatch):
    """An array whose trials draw as in company, each trained by its own module."""

    def make(user, *seeds):
        alone = array(user)
        admit(alone, *seeds)
        alone._alone = [True] * len(seeds)
        return alone

    return make


@pytest.mark.parametrize("make", [Tagger, PackedTagger, Attending, BatchFirstWithoutDropout])
def test_a_model_that_does_not_mind_is_the_same_padded_in_company_that_comes_and_goes(make, all_alone, monkeypatch):
    user = task(make)
    found = tried(user)
    assert (found.batched, found.reason) == (True, None)
    assert found.padding is not None
    assert found.padding.values == {0: 0, 1: IGNORED}
    expected = all_alone(user, 1, 2, 3).train(30).loss
    trained = array(user, padding=found.padding)
    admit(trained, 1, 2, 3)
    monkeypatch.setattr(trained, "_differentiate_alone", None)  # in which case all would fail
    first = trained.train(10).loss
    np.testing.assert_allclose(first, expected[:10], rtol=1e-10)
    trained.evict(0)  # the third trial is in its slot now
    admit(trained, 4)
    second = trained.train(20).loss
    assert trained.failures == {}
    np.testing.assert_allclose(second[:, 0], expected[10:, 2], rtol=1e-10)
    np.testing.assert_allclose(second[:, 1], expected[10:, 1], rtol=1e-10)


@pytest.mark.parametrize(
    ("make", "loss"),
    [
        (Unmasked, mean_over_tags),
        (Normalized, mean_over_tags),
        (Tracked, mean_over_tags),
        (BatchFirst, mean_over_tags),
        (LengthCounting, mean_over_tags),
        (Tagger, mean_with_padding),
    ],
)
def test_a_model_that_minds_is_trained_one_at_a_time(make, loss):
    found = tried(task(make, loss))
    assert (found.batched, found.padding) == (False, None)
    assert "shapes, and padded to one its" in found.reason


def padded_alike(seed):
    """Batches of one shape, in which the longest sequences differ."""

    def batch(step):
        words, tags, lengths = batches_of(seed)(step)
        more = (0, 0, 0, LONGEST - len(words))
        return nn.functional.pad(words, more), nn.functional.pad(tags, more, value=IGNORED), lengths

    return batch


def test_packed_sequences_may_be_of_any_length_in_batches_of_one_shape(all_alone, monkeypatch):
    user = task(PackedTagger, batches=padded_alike)
    found = tried(user)
    assert (found.batched, found.reason) == (True, None)
    trained = array(user, padding=found.padding)
    admit(trained, 1, 2, 3)
    monkeypatch.setattr(trained, "_differentiate_alone", None)
    np.testing.assert_allclose(trained.train(20).loss, all_alone(user, 1, 2, 3).train(20).loss, rtol=1e-10)
    assert trained.failures == {}


def mean_of_outputs(model, batch):
    words, _, lengths = batch
    return model(words, lengths).square().mean()


def test_packed_sequences_whose_padding_counts_are_not_batched():
    found = tried(task(PackedTagger, mean_of_outputs, padded_alike))
    assert (found.batched, found.padding) == (False, None)


def test_a_few_shapes_are_a_program_each_where_padding_is_minded():
    def two_shapes(seed):
        made = batches_of(seed)
        steps = [step for step in range(100) if len(made(step)[0]) in (4, 7)]
        return [made(step) for step in steps]

    found = tried(task(LengthCounting, batches=two_shapes))
    assert (found.batched, found.padding) == (True, None)
    assert MOST_SHAPES >= 2


def test_a_model_that_comes_to_mind_padding_is_trained_on_its_own_from_there_on(all_alone, capsys):
    user = task(MindsLater)
    found = tried(user)
    assert found.padding is not None
    trained = array(user, padding=found.padding)
    admit(trained, 1, 2)
    losses = trained.train(20).loss
    first = min(LOOKED_AT)
    padded = [len(batches_of(seed)(first - 1)[0]) for seed in (1, 2)]
    slot = padded.index(min(padded))
    assert f"seed {slot + 1} is trained on its own from step {first} on: its loss is" in capsys.readouterr().err
    np.testing.assert_allclose(losses[:, slot], all_alone(user, 1, 2).train(20).loss[:, slot], rtol=1e-10)


def test_only_lengths_are_padded():
    def batch(length, size=6, dtype=torch.int64):
        return {"words": torch.ones(length, size, dtype=dtype), "scale": torch.ones(())}

    lengths = [batch(n) for n in (3, 5, 4, 6, 2)]
    padding = Padding.of(lengths)
    assert padding is not None
    assert padding.longest == {(0, 0): 6}
    assert Padding.of([batch(4)] * 5) is None
    assert Padding.of([*lengths, batch(3, dtype=torch.int32)]) is None
    assert Padding.of([batch(4)] * 9 + [batch(4, size=2)]) is None  # a short last batch
    shorter, longer = padding.padded([batch(3), batch(4)])
    assert shorter["words"].shape == longer["words"].shape == (4, 6)
    assert padding.signature(batch(3)) == padding.signature(batch(5)) != padding.signature(batch(3, size=2))
