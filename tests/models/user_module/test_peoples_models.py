"""Models as people write them: each trial beside a plain loop of torch, batched or not, whatever its neighbours do."""

import random
from contextlib import nullcontext
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from module_arrays import module_array
from peoples_models import PROBLEMS, row
from torch import nn

from gradstudy.models.array import INITIAL_BATCHES, TrainingRun
from gradstudy.models.user_module.batching import try_batching
from gradstudy.models.user_module.company import Company
from gradstudy.models.user_module.loading import UserModule

pytestmark = pytest.mark.filterwarnings("ignore")  # of torch, about what is out of fashion

CPU = torch.device("cpu")
STUDY_SEED, STEPS, LEARNING_RATE, THRESHOLD = 7, 8, 0.3, 0.5
COUNTING = ("counted_loss", "own_generator")
"""Models that count or draw by themselves: a loss that is measured without training counts, too."""

DRAWING = ("notebook_packed", "chatbot", "sampling_by_numpy", "sampled_words", "word_language_model", "tutorial_crf")
DRAWING += ("beside_attention", "checkpointed_dropout", "variational_autoencoder", "batch_norm_gru")
LOW_PRECISION = {"autocast": 2e-2}
TABLE = "tests/models/user_module/peoples_models/table.py"
PAGE = Path(__file__).parents[3] / "docs" / "peoples-models.md"


@pytest.fixture(autouse=True)
def _double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def array(user, tried, shared_draws):
    return module_array(user, slots=3, batch_size=4, steps=2 * STEPS, batched=tried.batched, shared_draws=shared_draws)


def by_hand(function, seed, company):
    """The losses of a plain loop of torch, which draws as the trial does."""
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    random.seed(seed)
    model, batches, loss_of, *_ = function(seed)
    coming = map(batches, range(INITIAL_BATCHES)) if callable(batches) else islice(iter(batches), INITIAL_BATCHES)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer, losses = torch.optim.SGD(parameters, LEARNING_RATE), []
    for step, batch in enumerate(list(coming)[:STEPS]):
        key = torch.tensor((seed << 32) + step)
        with nullcontext() if company is None else company.draws_alone(key, step):
            loss = loss_of(model, batch)
            optimizer.zero_grad()
            loss.backward()
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.grad = parameter.grad.to_dense()
        nn.utils.clip_grad_norm_(parameters, THRESHOLD)
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.sampled
@pytest.mark.parametrize(
    ("name", "shared_draws"), [*((name, STUDY_SEED) for name in PROBLEMS), *((name, None) for name in DRAWING)]
)
def test_a_trial_is_a_plain_loop(name, shared_draws):
    function = PROBLEMS[name]
    user = UserModule("module:m:p", function, {}, None, "")
    tried = try_batching(user, "module", 4, CPU, shared_draws)
    if shared_draws is not None:
        assert row(name, tried) in PAGE.read_text(), f"run: python {TABLE}"
    trained = array(user, tried, shared_draws)

    def admit(seed):
        setting = TrainingRun(seed=seed, strategy="norm", threshold=THRESHOLD, learning_rate=LEARNING_RATE)
        slot = trained.admit(setting)
        assert name in COUNTING or np.isfinite(trained.initial_losses(slot)).all()

    admit(1)
    admit(2)
    first = trained.train(STEPS // 2).loss
    admit(3)
    second = trained.train(STEPS - STEPS // 2).loss
    losses = {1: np.concatenate([first, second[:, :2]])[:, 0], 2: np.concatenate([first, second[:, :2]])[:, 1]}
    assert name in COUNTING or np.isfinite([trained.validation_loss(slot) for slot in range(3)]).all()
    trained.evict(0)  # the trial of seed 3 moves into slot 0
    losses[3] = np.concatenate([second[:, 2], trained.train(STEPS // 2).loss[:, 0]])
    assert not list(trained.failures.values())
    for seed, found in losses.items():
        company = Company(shared_draws) if tried.batched and shared_draws is not None else None
        expected = by_hand(function, seed, company)
        np.testing.assert_allclose(found, expected, rtol=LOW_PRECISION.get(name, 1e-10))
