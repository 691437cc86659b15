"""What a function returned decides: its optimizer is taken unasked, its metric is kept, what is wrong is said."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import text
from typer.testing import Result

from gradstudy.scripts.exit_codes import WRONG_USAGE
from gradstudy.storage.database import Database
from gradstudy.storage.frames import read_trials
from gradstudy.storage.studies import find_study
from gradstudy.study.launch import create_or_resume
from gradstudy.study.opened_study import open_study
from gradstudy.study.spec.study_spec import parse_spec

CODE = """
import torch
from torch import nn

X = torch.randn(60, 4, generator=torch.Generator().manual_seed(1))
X[:, 3] = X[:, :3].sum(1)


def adamw(parameters, lr):
    return torch.optim.AdamW(parameters, lr, weight_decay=0.2)


def loss(model, batch):
    return (model(batch[:, :3]).squeeze(1) - batch[:, 3]).square().mean()


def parts(**more):
    return {"model": nn.Linear(3, 1), "train": list(X[:40].split(8)), "loss": loss, "valid": [X[40:]], **more}


def with_optimizer(seed, weight_decay=0.2):
    return parts(optimizer=lambda p, lr: torch.optim.AdamW(p, lr, weight_decay=weight_decay))


def without(seed):
    return parts()


def at_times(seed, own=True):
    return parts(optimizer=adamw) if own else parts()


def unusable(seed):
    return parts(optimizer=lambda p, lr: adamw(p, lr=-1))


def failing(seed):
    raise KeyError("weights")


def failing_loss(seed):
    return parts(optimizer=adamw) | {"loss": lambda model, batch: model.no_such_part}


def errors(model, batch):
    off = (model(batch[:, :3]).squeeze(1) - batch[:, 3]).abs()
    return {"worst": off.max(), "share": (off < 0.5).float().mean(), "undefined": float("nan")}


def measured(seed):
    return parts(metrics=errors)


def drawing(seed):
    return parts(metric=lambda model, batch: float(torch.rand(()) + model.train().weight.add_(1).sum()))


def broken_metric(seed):
    return parts(metric=lambda model, batch: batch.no_such_part)
"""

FLAGS = ("--strategies=none,norm", "--lr=0.001:10", "--trials=6", "--steps=20", "--workers=1", "--sampler=qmc")


@pytest.fixture
def code(folder: Path, request: pytest.FixtureRequest) -> str:
    """The name of a module with the functions: a new one each time, as modules are imported once only."""
    name = "returned_" + "".join(letter if letter.isalnum() else "_" for letter in request.node.name)
    (folder / f"{name}.py").write_text(CODE)
    return name


def optimizer_of(name: str) -> str:
    with Database.open("sqlite:///gradstudy.db") as database:
        return str(find_study(database, name).spec["optimizer"])


@pytest.mark.parametrize(
    ("function", "flags", "optimizer", "said"),
    [
        ("with_optimizer", (), "own", "optimizer: the AdamW that {task} returns (--optimizer NAME takes another)\n"),
        ("with_optimizer", ("--optimizer=own",), "own", "optimizer: the AdamW that {task} returns"),
        ("with_optimizer", ("--optimizer=sgd",), "sgd", "that {task} returns is not used, but sgd: --opt"),
        ("with_optimizer", ("--vary=optimizer=adam,sgd",), "sgd", "is not used, but adam and sgd: --opt"),
        ("with_optimizer", ("--vary=weight_decay=0,0.3",), "own", "varied: weight_decay 0.0, 0.3\n"),
        ("without", (), "sgd", ""),
        ("failing_loss", (), "own", "optimizer: the AdamW that {task} returns"),
        ("failing", ("--optimizer=sgd",), "sgd", "one at a time: KeyError: 'weights'"),
    ],
)
def test_an_optimizer_that_is_returned_is_taken_where_no_other_is_said(
    gradstudy: Callable[..., Result], code: str, function: str, flags: tuple[str, ...], optimizer: str, said: str
) -> None:
    task = f"module:{code}:{function}"
    launched = gradstudy("launch", "s", f"--task={task}", *FLAGS, *flags)
    assert said.format(task=task) in launched.stdout
    assert ("optimizer: the " in launched.stdout) == (optimizer == "own")
    assert optimizer_of("s") == optimizer
    again = gradstudy("launch", "s", f"--task={task}", *FLAGS, *flags)  # says as little, and is the same study
    assert again.exit_code == 0, again.output
    assert "another spec" not in again.stderr


def test_toml_and_python_take_it_too(gradstudy: Callable[..., Result], code: str, folder: Path) -> None:
    task = f"module:{code}:with_optimizer"
    (folder / "t.toml").write_text(f'task = "{task}"\nsteps = 5\n')
    assert gradstudy("launch", "t.toml", "--detach").exit_code == 0
    assert optimizer_of("t") == "own"
    with Database.open("sqlite:///gradstudy.db") as database:
        create_or_resume(database, parse_spec({"name": "p", "task": task, "steps": 5}))
        create_or_resume(database, parse_spec({"name": "p", "task": task, "steps": 5}))
        create_or_resume(database, parse_spec({"name": "q", "task": task, "steps": 5, "optimizer": "adam"}))
    assert (optimizer_of("p"), optimizer_of("q")) == ("own", "adam")
    probed = gradstudy("probe", "u", f"--task={task}", *FLAGS[:4])
    assert probed.exit_code == 0, probed.output
    assert optimizer_of("u") == "own"


def test_a_study_of_before_keeps_its_optimizer(gradstudy: Callable[..., Result], code: str) -> None:
    flags = (f"--task=module:{code}:with_optimizer", *FLAGS)
    assert gradstudy("launch", "s", *flags, "--optimizer=sgd", "--detach").exit_code == 2  # --workers says nothing then
    assert gradstudy("launch", "s", *flags[:-2], "--sampler=qmc", "--optimizer=sgd", "--detach").exit_code == 0
    launched = gradstudy("launch", "s", *flags)
    assert (launched.exit_code, launched.stderr) == (0, "")
    assert "is not used, but sgd" in launched.stdout
    assert gradstudy("replay", "s", "0").exit_code == 0


@pytest.mark.parametrize(
    ("function", "flags", "said"),
    [
        ("with_optimizer", ("--weight-decay=0.1",),
         "weight_decay is not taken by optimizer 'own': set it in your own function; the study takes the AdamW that"),
        ("with_optimizer", ("--schedule=cosine",), "return a schedule from your own function; the study takes the"),
        ("with_optimizer", ("--vary=momentum=0.9,0.99",), "if that is for the optimizer of your own function, say"),
        ("without", ("--optimizer=own",), "returned no optimizer for optimizer 'own'"),
        ("without", ("--vary=optimizer=own,sgd",), "returned no optimizer for optimizer 'own'"),
        ("at_times", ("--vary=own=true,false",), "returns an optimizer for some of what the study varies, and none"),
        ("unusable", (), "cannot be made; mend it, or say --optimizer NAME: ValueError: Invalid learning rate: -1 ("),
        ("failing", (), "before it was known whether it has an optimizer of its own: KeyError: 'weights' ("),
    ],
)  # fmt: skip
def test_what_does_not_fit_the_optimizer_is_said(
    gradstudy: Callable[..., Result], code: str, folder: Path, function: str, flags: tuple[str, ...], said: str
) -> None:
    for more in ((), ("--detach",)):
        given = FLAGS if not more else FLAGS[:4]
        launched = gradstudy("launch", "s", f"--task=module:{code}:{function}", *given, *flags, *more)
        assert launched.exit_code == WRONG_USAGE
        assert said in launched.stderr
        assert len(launched.stderr.strip().splitlines()) == 1
    assert not (folder / "gradstudy.db").exists()


WRONG = """
import torch
from torch import nn

MODEL = nn.Linear(2, 1)
BATCHES = [torch.ones(3, 2)]
PARTS = (MODEL, BATCHES, lambda model, batch: model(batch).mean())


def nothing(seed):
    pass


def only_a_model(seed):
    return MODEL


def no_loss(seed):
    return MODEL, BATCHES


def loss_of_outputs(seed):
    return MODEL, BATCHES, nn.MSELoss()


def loss_with_axes(seed):
    return MODEL, BATCHES, lambda model, batch: model(batch)


def number_of_batches(seed):
    return MODEL, 7, PARTS[2]


def used_up(seed):
    return (*PARTS, (batch for batch in BATCHES))


def made_optimizer(seed):
    return (*PARTS, BATCHES, torch.optim.SGD(MODEL.parameters(), 0.1))


def no_optimizer_made(seed):
    return (*PARTS, BATCHES, lambda parameters, lr: "sgd")


def metric_is_a_number(seed):
    return (*PARTS, BATCHES, None, 0.5)


def metric_gives_a_list(seed):
    return (*PARTS, BATCHES, None, lambda model, batch: [1, 2])


def seven(seed):
    return (*PARTS, None, None, None, None)


def unknown_name(seed):
    return {"model": MODEL, "train": BATCHES, "loss": PARTS[2], "test": BATCHES}


def nothing_to_train(seed):
    return nn.ReLU(), BATCHES, PARTS[2]
"""


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("nothing", "must return (module, batches, loss), then validation batches, a function that makes an optimizer"),
        ("only_a_model", "but returned Linear, a model without data"),
        ("no_loss", "returned no loss, Linear has no training_step and its batches are no dictionaries but a tensor"),
        ("loss_of_outputs", "but is MSELoss, which takes outputs and targets"),
        ("loss_with_axes", "must be a tensor without axes, but is a tensor of shape [3, 1]"),
        ("number_of_batches", "must be iterable or a function of the step, but are int"),
        ("used_up", "but a generator can be used once only: return a list or a DataLoader"),
        ("made_optimizer", "but is SGD already made: return lambda parameters, lr: torch.optim.SGD(parameters, lr)"),
        ("no_optimizer_made", "must be a function that returns a torch.optim.Optimizer, or that and its schedules"),
        ("metric_is_a_number", "the metric of module:wrong_returns:metric_is_a_number must be a function of module"),
        ("metric_gives_a_list", "must return a number, or a dictionary of numbers by name, but returned a list of int"),
        ("seven", "but returned a tuple of 7"),
        ("unknown_name", "has no part 'test': accepted are module, model, batches, train, loss, validation, valid,"),
        ("nothing_to_train", "has no parameter to train"),
    ],
)
def test_a_wrong_return_is_said_before_the_study_is_created(
    gradstudy: Callable[..., Result], folder: Path, function: str, said: str
) -> None:
    (folder / "wrong_returns.py").write_text(WRONG)
    launched = gradstudy("launch", "s", f"--task=module:wrong_returns:{function}", *FLAGS)
    assert launched.exit_code == WRONG_USAGE
    assert said in launched.stderr
    assert len(launched.stderr.strip().splitlines()) == 1
    assert not (folder / "gradstudy.db").exists()


def test_a_metric_is_measured_stored_and_shown(gradstudy: Callable[..., Result], code: str) -> None:
    for name in ("measured", "without"):
        launched = gradstudy("launch", name, f"--task=module:{code}:{name}", *FLAGS)
        assert (launched.exit_code, launched.stderr) == (0, "")
    with open_study("measured") as study, open_study("without") as plain:
        trials, others = study.trials(), plain.trials()
        metrics = study.summary().metrics
    number = int(trials.loc[trials["outcome"] == "trained", "number"].iloc[0])
    for row in trials.to_dict("records"):
        if row["outcome"] == "diverged":
            assert row["metrics"] == {}
        else:
            assert sorted(row["metrics"]) == ["share", "undefined", "worst"]
            assert row["metrics"]["undefined"] is None
            assert row["metrics"]["worst"] ** 2 >= row["validation_loss"]
    same = ["number", "learning_rate", "outcome", "final_loss", "validation_loss", "objective"]
    assert trials[same].equals(others[same])
    assert set(others["metrics"].map(str)) == {"{}"}
    assert metrics["metric worst"].notna().all()
    shown = gradstudy("report", "measured").stdout
    assert "Beside the loss  (your own metric, of the best setting of each strategy" in shown
    assert "Beside the loss, the mean of " in shown
    assert "Beside the loss" not in gradstudy("report", "without").stdout
    replayed = gradstudy("replay", "measured", str(number))
    worst = trials.set_index("number")["metrics"][number]["worst"]
    assert f"worst: recorded {worst:.6g}, replayed {worst:.6g}\n" in replayed.stdout
    assert "undefined: recorded not finite, replayed not finite\n" in replayed.stdout
    queried = gradstudy("query", f"SELECT metrics FROM trial_result WHERE number = {number}", "--format=json")
    assert "worst" in queried.stdout
    with Database.open("sqlite:///gradstudy.db") as database, database.engine.connect() as connection:
        keys = connection.scalars(text('SELECT DISTINCT "key" FROM trial_user_attributes')).all()
    assert {"metric_worst", "metric_share"} <= set(keys)
    assert "metric_undefined" not in keys


def test_a_metric_decides_nothing(gradstudy: Callable[..., Result], code: str) -> None:
    """Not even one that draws random numbers, changes the weights and the mode of the model."""
    for name in ("drawing", "without"):
        assert gradstudy("launch", name, f"--task=module:{code}:{name}", *FLAGS).exit_code == 0
    with Database.open("sqlite:///gradstudy.db") as database:
        drawing, without = read_trials(database, "drawing"), read_trials(database, "without")
    same = ["number", "learning_rate", "outcome", "final_loss", "validation_loss"]
    assert drawing[same].equals(without[same])
    assert np.all([("metric" in each) == bool(each) for each in drawing["metrics"]])


def test_a_metric_that_fails_fails_its_trial(gradstudy: Callable[..., Result], code: str) -> None:
    gradstudy("launch", "s", f"--task=module:{code}:broken_metric", *FLAGS, "--lr=0.001:0.01")
    with Database.open("sqlite:///gradstudy.db") as database:
        trials = read_trials(database, "s")
        with database.engine.connect() as connection:
            errors = connection.scalars(text("SELECT error FROM gradstudy_trial WHERE outcome = 'failed'")).all()
    assert set(trials["outcome"].dropna()) == {"failed"}
    assert all("no_such_part" in error for error in errors)
