"""Random numbers in a forward pass: their distributions, and the same ones alone, in company and in a loop by hand."""

import random

import numpy as np
import pytest
import torch
from module_arrays import module_array
from scipy import stats
from torch import nn
from torch.func import vmap
from torch.nn import functional

from gradstudy.models.array import TrainingRun
from gradstudy.models.dropout import random_bits
from gradstudy.models.user_module.batching import try_batching
from gradstudy.models.user_module.company import Company
from gradstudy.models.user_module.draws import numbers
from gradstudy.models.user_module.draws.keyed_mode import KeyedMode
from gradstudy.models.user_module.draws.keyed_random import uniforms
from gradstudy.models.user_module.loading import UserModule
from gradstudy.models.user_module.recurrent import BatchedLayers

CPU = torch.device("cpu")
STUDY_SEED, SIZE = 7, 6
MANY = 20_000

SHARES = [0.1, 0, 0.4, 0.2, 0.3]
WEIGHTS = torch.tensor(SHARES)
DRAWS = {
    "rand": lambda: torch.rand(2, 3),
    "rand of float64": lambda: torch.rand((2, 3), dtype=torch.float64),
    "rand of bfloat16": lambda: torch.rand(size=(4,), dtype=torch.bfloat16),
    "randn": lambda: torch.randn(5),
    "rand_like": lambda: torch.rand_like(torch.zeros(3, dtype=torch.float64)),
    "randn_like": lambda: torch.randn_like(torch.zeros(3), dtype=torch.float64),
    "randint": lambda: torch.randint(3, 9, (4,)),
    "randint below": lambda: torch.randint(high=9, size=(4,), dtype=torch.int32),
    "randint_like": lambda: torch.randint_like(torch.zeros(4), 5),
    "randperm": lambda: torch.randperm(9),
    "normal": lambda: torch.normal(1.0, 2.0, (3,)),
    "normal of tensors": lambda: torch.normal(torch.zeros(2, 1), torch.ones(3)),
    "normal of one tensor": lambda: torch.normal(torch.zeros(3)),
    "bernoulli": lambda: torch.bernoulli(WEIGHTS),
    "bernoulli method": lambda: WEIGHTS.bernoulli(0.3),
    "multinomial": lambda: torch.multinomial(WEIGHTS, 3),
    "multinomial again": lambda: torch.stack([WEIGHTS, WEIGHTS]).multinomial(7, replacement=True),
    "uniform_": lambda: torch.empty(4).uniform_(-1, 3),
    "uniform_ by name": lambda: torch.empty(4).uniform_(to=3.0),
    "normal_": lambda: torch.zeros(4).normal_(std=2),
    "exponential_": lambda: torch.empty(4).exponential_(2.0),
    "log_normal_": lambda: torch.empty(4).log_normal_(),
    "random_": lambda: torch.empty(4).random_(2, 5),
    "bernoulli_": lambda: torch.empty(4).bernoulli_(torch.full((4,), 0.2)),
    "gumbel_softmax": lambda: functional.gumbel_softmax(torch.zeros(2, 3), hard=True),
    "rrelu": lambda: functional.rrelu(-torch.ones(3), training=True),
    "dropout": lambda: torch.dropout(torch.ones(9), 0.5, True),
    "dropout in place": lambda: functional.dropout(torch.ones(9), 0.5, True, True),
    "dropout1d": lambda: functional.dropout1d(torch.ones(2, 8, 3)),
    "dropout2d": lambda: functional.dropout2d(torch.ones(2, 8, 3, 2)),
    "alpha_dropout": lambda: functional.alpha_dropout(torch.ones(9), 0.3, True),
    "feature_alpha_dropout": lambda: functional.feature_alpha_dropout(torch.ones(2, 8, 3), 0.3, True),
    "attention": lambda: functional.scaled_dot_product_attention(
        *torch.ones(3, 2, 4, 3).unbind(), dropout_p=0.5, is_causal=True
    ),
    "Normal": lambda: torch.distributions.Normal(torch.zeros(3), 1.0).rsample(),
    "Bernoulli": lambda: torch.distributions.Bernoulli(logits=torch.zeros(3)).sample(),
    "Categorical": lambda: torch.distributions.Categorical(WEIGHTS).sample((2,)),
    "Gumbel": lambda: torch.distributions.Gumbel(torch.zeros(3), torch.ones(3)).sample(),
}


@pytest.mark.parametrize("name", DRAWS)
def test_a_draw_is_of_its_key_in_a_batch_as_alone_and_of_the_shape_and_type_of_torchs(name):
    keys = torch.tensor([3, 4, 5]) << 32
    before = torch.get_rng_state()
    alone = []
    for key in keys:
        with KeyedMode(key):
            alone.append(torch.stack([DRAWS[name](), DRAWS[name]()]))

    def of_one(key):
        with BatchedLayers(key):
            return torch.stack([DRAWS[name](), DRAWS[name]()])

    assert torch.equal(vmap(of_one, randomness="error")(keys), torch.stack(alone))
    assert torch.equal(before, torch.get_rng_state())
    plain = DRAWS[name]()
    assert (plain.shape, plain.dtype) == (alone[0][0].shape, alone[0].dtype)
    if plain.numel() > 1:
        assert not torch.equal(torch.stack([one[0] for one in alone]), torch.stack([one[1] for one in alone]))
        assert len({str(one) for one in alone}) > 1


@pytest.mark.parametrize(("dtype", "bits"), [(torch.float64, 53), (torch.float32, 24)])
def test_compiled_numbers_are_those_of_torchs_operations(dtype, bits):
    keys = torch.tensor([3 << 32, -5, 2**63 - 1])
    integers = random_bits(keys, 4, torch.arange(50), bits)
    assert torch.equal(uniforms(keys, 4, (5, 10), dtype).flatten(1).double(), integers.double() * 2.0**-bits)


LAWS = {
    "rand": (lambda: torch.rand(MANY, dtype=torch.float64), stats.uniform()),
    "rand of float32": (lambda: torch.rand(MANY), stats.uniform()),
    "randn": (lambda: torch.randn(MANY), stats.norm()),
    "normal_": (lambda: torch.empty(MANY).normal_(2, 3), stats.norm(2, 3)),
    "uniform_": (lambda: torch.empty(MANY).uniform_(2, 3), stats.uniform(2, 1)),
    "exponential_": (lambda: torch.empty(MANY).exponential_(2), stats.expon(scale=0.5)),
    "log_normal_": (lambda: torch.empty(MANY).log_normal_(1, 0.5), stats.lognorm(0.5, scale=np.e)),
    "rrelu": (lambda: functional.rrelu(-torch.ones(MANY), 0.1, 0.4, True), stats.uniform(-0.4, 0.3)),
    "gumbel": (lambda: torch.distributions.Gumbel(torch.zeros(MANY), 1.0).sample(), stats.gumbel_r()),
}


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("seed", [1, 2])
def test_numbers_follow_their_law(name, seed):
    draw, law = LAWS[name]
    with KeyedMode(torch.tensor(seed << 32)):
        first, second = draw().double().numpy(), draw().double().numpy()
    for made in (first, second):
        assert stats.kstest(made, law.cdf).pvalue > 1e-3
    assert abs(stats.spearmanr(first, second).statistic) < 4 / MANY**0.5
    assert abs(stats.spearmanr(first[1:], first[:-1]).statistic) < 4 / MANY**0.5


def counts_of(draw, seed=1):
    with KeyedMode(torch.tensor(seed << 32)):
        return np.bincount(draw().flatten().long().numpy())


@pytest.mark.parametrize(
    ("draw", "shares"),
    [
        (lambda: torch.randint(2, 7, (MANY,)), [0, 0, 0.2, 0.2, 0.2, 0.2, 0.2]),
        (lambda: torch.multinomial(WEIGHTS, MANY, replacement=True), SHARES),
        (lambda: torch.multinomial(WEIGHTS.expand(MANY, 5), 1), SHARES),
        (lambda: torch.bernoulli(torch.full((MANY,), 0.3)), [0.7, 0.3]),
        (lambda: functional.gumbel_softmax(WEIGHTS.log().expand(MANY, 5), hard=True).argmax(1), SHARES),
        (lambda: functional.dropout2d(torch.ones(MANY, 1, 2, 1), 0.25)[:, 0, 0, 0] > 0, [0.25, 0.75]),
        (lambda: torch.stack([torch.randperm(3) for _ in range(500)])[:, 0], [1 / 3] * 3),
    ],
)
def test_choices_come_up_as_often_as_they_should(draw, shares):
    counts = counts_of(draw)
    expected = np.array(shares) * counts.sum()
    assert counts[expected == 0].sum() == 0
    assert stats.chisquare(counts[expected > 0], expected[expected > 0]).pvalue > 1e-3


def test_without_replacement_every_choice_is_another_one_and_as_likely_as_torchs():
    with KeyedMode(torch.tensor(1 << 32)):
        ours = torch.multinomial(WEIGHTS.expand(MANY, 5), 2)
    theirs = torch.multinomial(WEIGHTS.expand(MANY, 5), 2, generator=torch.Generator().manual_seed(1))
    table = [np.bincount((pairs[:, 0] * 5 + pairs[:, 1]).numpy(), minlength=25) for pairs in (ours, theirs)]
    seen = np.sum(table, 0) > 0
    assert (ours[:, 0] != ours[:, 1]).all()
    assert stats.chi2_contingency(np.array(table)[:, seen]).pvalue > 1e-3


def test_alpha_dropout_leaves_mean_and_variance():
    x = torch.randn(MANY, generator=torch.Generator().manual_seed(1))
    with KeyedMode(torch.tensor(1 << 32)):
        dropped = functional.alpha_dropout(x, 0.3, True)
    assert float(dropped.mean()) == pytest.approx(0, abs=0.03)
    assert float(dropped.std()) == pytest.approx(1, abs=0.03)


class Everything(nn.Module):
    """Draws in all kinds of ways, and decides by coins."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(SIZE, SIZE), nn.Linear(SIZE, SIZE)
        self.lstm = nn.LSTM(SIZE, SIZE, num_layers=2, dropout=0.3)
        self.attention = nn.MultiheadAttention(SIZE, 2, dropout=0.2)
        self.layer = nn.TransformerEncoderLayer(SIZE, 2, 8, dropout=0.1)
        self.drops = nn.Sequential(nn.Dropout1d(0.2), nn.AlphaDropout(0.1), nn.RReLU(), nn.Dropout(0.1))

    def forward(self, x):
        x = self.drops(self.first(x) + 0.1 * torch.randn_like(x))
        mean, width = self.last(x).chunk(2, -1)
        drawn = torch.distributions.Normal(mean, width.exp()).rsample()
        x = self.lstm(torch.cat([mean, drawn], -1))[0]
        x = x + self.attention(x, x, x)[0] + self.layer(x)
        noise = torch.empty(x.shape, dtype=x.dtype).uniform_(-0.1, 0.1)
        words = torch.multinomial(x[0].detach().softmax(-1), 1)
        x = x.scatter_add(-1, words.expand(*x.shape[:2], 1), torch.ones_like(x[..., :1]))
        if random.random() < 0.5:
            x = x[torch.randperm(len(x))]
        return functional.gumbel_softmax(x + noise, hard=random.random() < 0.5)


def loss_of(model, batch):
    keep = torch.bernoulli(torch.full_like(batch, 0.9))
    return ((model(batch * keep) - batch) ** 2).mean() * (1 + torch.rand(()))


def batches_of(seed):
    return lambda step: torch.randn(
        3, 4, SIZE, dtype=torch.float64, generator=torch.Generator().manual_seed(1000 * seed + step)
    )


def task(make=Everything, loss=loss_of):
    return UserModule("module:m:p", lambda seed: (make().double(), batches_of(seed), loss), {}, None, "")


def tried(user, shared_draws=STUDY_SEED):
    return try_batching(user, "module", 4, CPU, shared_draws)


def test_a_model_that_draws_in_all_ways_is_a_loop_of_torch_in_company_that_comes_and_goes(monkeypatch):
    assert tried(task()).reason is None
    trained = module_array(task(), slots=4, batch_size=4, shared_draws=STUDY_SEED)
    for seed in (1, 2, 5):
        slot = trained.admit(TrainingRun(seed=seed, strategy="none", threshold=None, learning_rate=0.1))
        first = trained.initial_losses(slot)
        trained.validation_loss(slot)
    monkeypatch.setattr(trained, "_differentiate_alone", None)  # in which case all would fail
    seen = [trained.train(7).loss[:, 2]]
    trained.evict(0)
    trained.admit(TrainingRun(seed=7, strategy="none", threshold=None, learning_rate=0.2))
    trained.validation_loss(0)
    seen.append(trained.train(13).loss[:, 0])
    assert trained.failures == {}

    torch.manual_seed(5)
    model, company, losses = Everything().double(), Company(STUDY_SEED), []
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    for step in range(20):
        with company.draws_alone(torch.tensor((5 << 32) + step), step):
            loss = loss_of(model, batches_of(5)(step))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    np.testing.assert_allclose(np.concatenate(seen), losses, rtol=1e-10)
    assert first[0] == pytest.approx(losses[0])


class Own(nn.Linear):
    def __init__(self):
        super().__init__(SIZE, SIZE)
        self.own = torch.Generator().manual_seed(1)


class OwnGenerator(Own):
    def forward(self, x):
        return super().forward(x) + torch.rand(x.shape, generator=self.own)


class Seeding(Own):
    def forward(self, x):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return super().forward(x) + torch.rand(x.shape)


class Poisson(Own):
    def forward(self, x):
        return super().forward(x) + torch.poisson(x.abs())


class Initial(Own):
    def forward(self, x):
        return super().forward(x) + nn.init.normal_(torch.empty(SIZE))


class Wrong(Own):
    def forward(self, x):
        return super().forward(x) + torch.distributions.Normal(0.0, x).rsample()


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (OwnGenerator, "its own changes from step to step, and in one program would once for all trials"),
        (Seeding, "it gives rand a generator, an output or a seed of its own"),
        (Poisson, "it draws random numbers by poisson, which must not depend on what is trained beside it"),
        (Initial, "it draws random numbers by normal_"),
        (Wrong, "ValueError"),
    ],
)
def test_what_is_not_answered_is_named(make, reason):
    found = tried(task(make))
    assert not found.batched
    assert reason in found.reason


def test_with_own_draws_nothing_is_answered():
    assert "random numbers" in tried(task(), None).reason


@pytest.mark.parametrize("name", ["keyed_uniform", "keyed_dropout"])
def test_numbers_that_depend_on_neighbours_are_found_out(monkeypatch, name):
    made, calls = getattr(numbers, name), []

    def wrong(*given):
        calls.append(given)
        return made(*given) * (1 + 0.01 * len(calls))

    assert tried(task()).batched
    monkeypatch.setattr(numbers, name, wrong)
    assert not tried(task()).batched
