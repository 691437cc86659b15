"""The code that a report tells people to paste, in a plain loop of torch, trains as the trial of the array did."""

import numpy as np
import pytest
import torch
from thresholds import AFTER_BACKWARD, THRESHOLDS
from torch import nn

from gradstudy.models.array import TrainingRun, TrialArray
from gradstudy.models.model_shape import ModelShape
from gradstudy.models.optimizer_settings import OptimizerSettings
from gradstudy.models.schedules import Schedule
from gradstudy.models.strategies import STRATEGIES
from gradstudy.models.tasks.batches import TrialBatches
from gradstudy.models.tasks.catalogue import load_task
from gradstudy.models.user_module.array import ModuleArray
from gradstudy.models.user_module.loading import UserModule
from gradstudy.models.workspace import Workspace
from gradstudy.study.answer.code_to_paste import code_to_paste

CPU = torch.device("cpu")
STEPS = 50
TOLERANCE = 1e-6
RATES = {"sgd": 0.05, "momentum": 0.02, "adam": 0.002, "own": 0.002}
NOT_FINITE = {3: "loss", 11: "gradient", 12: "both", 30: "loss", 41: "gradient"}
"""What is not finite in which step: before, at the end of and after the warm-up of strategies with memory."""


class Model(nn.Module):
    """All that may be special about a parameter: without axes, frozen, in no part of the loss, in it now and then."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(7, 6)
        self.lstm = nn.LSTM(6, 6, batch_first=True)
        self.output = nn.Linear(6, 7)
        self.temperature = nn.Parameter(torch.tensor(1.0))
        self.unused = nn.Linear(3, 4)
        self.now_and_then = nn.Parameter(torch.full((7,), 0.1))
        self.output.bias.requires_grad_(False)

    def forward(self, tokens, shifted):
        logits = self.output(self.lstm(self.embedding(tokens))[0]) * self.temperature
        return logits + self.now_and_then if shifted else logits


def loss_of(model, batch):
    tokens, kind, shifted = batch
    loss = nn.functional.cross_entropy(model(tokens, shifted)[:, 1:].flatten(0, 1), tokens[:, :-1].flatten())
    if kind == "loss":
        return loss + torch.inf
    if kind == "gradient":
        return loss + (model.temperature * 0).abs().sqrt()
    return loss * torch.nan if kind == "both" else loss


def optimizer_of(parameters, learning_rate):
    return torch.optim.AdamW(parameters, learning_rate, weight_decay=0.3)


def problem_with(faults, now_and_then):
    def problem(seed):
        def batch(step):
            make = torch.Generator().manual_seed(1000 * seed + step)
            return torch.randint(7, (4, 5), generator=make), faults.get(step), now_and_then and step % 3 == 0

        return Model().double(), batch, loss_of, None, optimizer_of

    return problem


def training_run(strategy, optimizer):
    return TrainingRun(seed=3, strategy=strategy, threshold=THRESHOLDS[strategy], learning_rate=RATES[optimizer])


def loop(code, model, own_optimizer, losses_of_steps):
    """The losses of a plain loop with the code where it says."""
    before, after = code.split("\n# after loss.backward()\n")
    names = {"torch": torch, "model": model}
    exec(before, names)
    names.setdefault("optimizer", own_optimizer)
    after = compile(after, "pasted", "exec")
    losses = []
    for loss in losses_of_steps:
        names["optimizer"].zero_grad()
        names["loss"] = loss
        loss.backward()
        exec(after, names)
        losses.append(loss.item())
    return np.array(losses)


@pytest.mark.sampled
@pytest.mark.parametrize("optimizer", RATES)
@pytest.mark.parametrize("guard", [False, True])
@pytest.mark.parametrize("strategy", AFTER_BACKWARD)
def test_with_a_model_of_ones_own(strategy, guard, optimizer):
    # An optimizer of the array takes a gradient that is missing in one step as zero, which SGD and one's own notice.
    problem = problem_with(NOT_FINITE if guard else {}, now_and_then=optimizer in {"sgd", "own"})
    user = UserModule("module:mine:problem", problem, {}, None, "")
    array = ModuleArray(
        user, "module", slots=1, batch_size=4, optimizer=None if optimizer == "own" else OptimizerSettings(optimizer),
        schedule=Schedule("constant", STEPS), guard=guard, device=CPU, batched=False,
    )  # fmt: skip
    run = training_run(strategy, optimizer)
    array.admit(run)
    trained = array.train(STEPS).loss[:, 0]
    assert array.failures == {}

    torch.manual_seed(run.seed)
    model, batch, loss, _, make_optimizer = problem(run.seed)
    code = code_to_paste(strategy, run.threshold, run.learning_rate, {"optimizer": optimizer, "guard": guard})
    losses = loop(
        code,
        model,
        make_optimizer(model.parameters(), run.learning_rate),
        (loss(model, batch(step)) for step in range(STEPS)),
    )
    np.testing.assert_allclose(trained, losses, rtol=TOLERANCE)
    assert np.isfinite(losses).sum() == (STEPS - 3 if guard else STEPS)
    assert abs(losses[-1] - losses[0]) > 1e-3


@pytest.fixture(scope="module")
def lengths_of_their_own():
    return load_task("reverse", max_length=6, symbols=7, examples=300)


@pytest.fixture(scope="module")
def one_length():
    return load_task("reverse", min_length=6, max_length=6, symbols=7, examples=300)


@pytest.mark.sampled
@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_with_a_built_in_task(lengths_of_their_own, one_length, torch_model, strategy, optimizer):
    # Torch counts the steps of a source from its beginning, the array from its end: a norm is over other states.
    data = one_length if strategy == "recurrent" else lengths_of_their_own
    symbols = {"source_vocabulary": len(data.source_vocabulary), "target_vocabulary": len(data.target_vocabulary)}
    shape = ModelShape(cell="lstm", embedding_size=5, hidden_size=6, **symbols)
    array = TrialArray(
        shape, data, slots=1, batch_size=8, optimizer=OptimizerSettings(optimizer),
        schedule=Schedule("cosine", STEPS, warmup=5), guard=True, workspace=Workspace(torch.float64, CPU),
    )  # fmt: skip
    run = training_run(strategy, optimizer)
    array.admit(run)
    model = torch_model(shape, run.seed, torch.float32).double()
    with torch.no_grad():  # torch draws in float32; the array draws in its own type
        row = array.model.initialize(run.seed, torch.float64).unsqueeze(0)
        for name, view in array.model.layout.views(row).items():
            target = dict(model.named_parameters())[name]
            target.copy_(view[0].T if view[0].shape != target.shape or "weight_" in name else view[0])
    trained = array.train(STEPS).loss[:, 0]

    batches = TrialBatches(data, 1, 8)
    batches.admit(0, run.seed)
    of_steps = (batches.batch(np.array([step])) for step in range(STEPS))
    spec = {"optimizer": optimizer, "guard": True, "steps": STEPS, "schedule": "cosine", "warmup": 5}
    code = code_to_paste(strategy, run.threshold, run.learning_rate, spec)
    losses = loop(code, model, None, (model(batch.source[0], batch.target[0]) for batch in of_steps))
    np.testing.assert_allclose(trained, losses, rtol=TOLERANCE)
    assert abs(losses[-1] - losses[0]) > 1e-3
