"""A tutorial's encoder-decoder, studied by the real command from a folder that has a ``models`` package of its own."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from gradstudy.storage.database import Database
from gradstudy.storage.frames import read_trials

MODEL = """
import random

import torch
from torch import nn


class Encoder(nn.Module):
    def __init__(self, input_dim, emb_dim, hid_dim, dropout):
        super().__init__()
        self.embedding = nn.Embedding(input_dim, emb_dim)
        self.rnn = nn.LSTM(emb_dim, hid_dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, src):
        outputs, (hidden, cell) = self.rnn(self.dropout(self.embedding(src)))
        return hidden, cell


class Decoder(nn.Module):
    def __init__(self, output_dim, emb_dim, hid_dim, dropout):
        super().__init__()
        self.output_dim = output_dim
        self.embedding = nn.Embedding(output_dim, emb_dim)
        self.rnn = nn.LSTM(emb_dim, hid_dim)
        self.fc_out = nn.Linear(hid_dim, output_dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, input, hidden, cell):
        embedded = self.dropout(self.embedding(input.unsqueeze(0)))
        output, (hidden, cell) = self.rnn(embedded, (hidden, cell))
        return self.fc_out(output.squeeze(0)), hidden, cell


class Seq2Seq(nn.Module):
    def __init__(self, encoder, decoder):
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def forward(self, src, trg, teacher_forcing_ratio=0.5):
        outputs = torch.zeros(trg.shape[0], trg.shape[1], self.decoder.output_dim, device=src.device)
        hidden, cell = self.encoder(src)
        input = trg[0]
        for t in range(1, trg.shape[0]):
            output, hidden, cell = self.decoder(input, hidden, cell)
            outputs[t] = output
            input = trg[t] if random.random() < teacher_forcing_ratio else output.argmax(1)
        return outputs
"""

USER_CODE = """
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from models.seq2seq import Decoder, Encoder, Seq2Seq

WORDS = torch.randint(2, 20, (300, 5), generator=torch.Generator().manual_seed(1))


def collate(rows):
    source = torch.stack([row[0] for row in rows]).T
    start = torch.ones_like(source[:1])
    return source, torch.cat([start, source.flip(0)])


def problem(seed, hidden=8):
    model = Seq2Seq(Encoder(20, 16, hidden, 0.1), Decoder(20, 16, hidden, 0.1))
    train, validation = TensorDataset(WORDS[:200]), TensorDataset(WORDS[200:])
    batches = DataLoader(train, 16, shuffle=True, collate_fn=collate)
    return model, batches, loss, DataLoader(validation, 100, collate_fn=collate)


def loss(model, batch):
    source, target = batch
    output = model(source, target)
    return nn.functional.cross_entropy(output[1:].flatten(0, 1), target[1:].flatten())


def broken(seed):
    return *problem(seed)[:2], lambda model, batch: model.no_such_part(batch)
"""

FLAGS = ("--task=module:mine:problem", "--strategies=none,norm,autoclip", "--lr=0.01:1000", "--trials=6", "--steps=12")


def command(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    program = [str(Path(sys.executable).with_name("gradstudy")), *words]
    return subprocess.run(program, cwd=folder, capture_output=True, text=True)


@pytest.fixture
def users_folder(folder: Path) -> Path:
    place = folder / "project"
    (place / "models").mkdir(parents=True)
    (place / "models" / "__init__.py").touch()
    (place / "models" / "seq2seq.py").write_text(MODEL)
    (place / "mine.py").write_text(USER_CODE)
    return place


@pytest.mark.slow
def test_a_tutorials_model_is_studied_in_thirty_lines(users_folder: Path) -> None:
    assert len(USER_CODE.partition("def broken")[0].strip().splitlines()) <= 30
    launched = command(users_folder, "launch", "s", *FLAGS, "--task-option=hidden=9", "--workers=2")
    assert (launched.returncode, launched.stderr) == (0, "")
    lines = launched.stdout.splitlines()
    assert lines[0] == f"importing mine from {users_folder}"
    assert lines[2].startswith(f"module:mine:problem from {users_folder}: Seq2Seq of ")
    assert lines[2].endswith(
        "many at a time, as one batched program; random draws decide what it does, and trials share those of a step "
        "(--own-draws: each its own)"
    )
    with Database.open(f"sqlite:///{users_folder}/gradstudy.db") as database:
        trials = read_trials(database, "s")
    assert set(trials["cell"]) == {"module"}
    assert set(trials["outcome"]) <= {"trained", "stalled", "diverged"}
    assert trials["grad_norm_p50"].notna().sum() >= 5
    replayed = command(users_folder, "replay", "s", "2")
    assert (replayed.returncode, replayed.stderr) == (0, "")
    assert "they agree" in replayed.stdout


@pytest.mark.slow
def test_workers_find_the_code_from_elsewhere(users_folder: Path, folder: Path) -> None:
    assert command(users_folder, "launch", "s", *FLAGS, "--detach").returncode == 0
    storage = f"--storage=sqlite:///{users_folder}/gradstudy.db"
    refused = command(users_folder, "work", "s", storage)
    assert (refused.returncode, refused.stderr) == (
        2,
        f"gradstudy: task 'module:mine:problem': 'mine' is found in {users_folder}, and this worker imports only from "
        "what --allow-modules names (nothing)\n",
    )
    worked = command(folder, "work", "s", storage, f"--allow-modules={folder}")
    assert (worked.returncode, worked.stderr) == (0, "")
    assert "6/6 done" in worked.stdout
    users_folder.rename(folder / "moved")
    lost = command(folder, "replay", "s", "0", f"--storage=sqlite:///{folder}/moved/gradstudy.db")
    assert (lost.returncode, lost.stdout) == (2, "importing mine, which is installed\n")
    assert lost.stderr.strip() == (
        f"gradstudy: task 'module:mine:problem' cannot be imported: there is no module 'mine' in {folder}, "
        "nor is one installed"
    )


@pytest.mark.slow
def test_one_failure_after_the_other_stops_the_study_and_shows_the_traceback(users_folder: Path) -> None:
    flags = ("--task=module:mine:broken", "--trials=200", "--steps=10", "--workers=2")
    launched = command(users_folder, "launch", "s", *flags)
    assert launched.returncode == 1
    said = launched.stderr
    assert said.startswith(
        "gradstudy: 5 trials, one after the other, failed by an exception; the last one:\n\nTraceback"
    )
    assert "in <lambda>\n" in said
    assert said.endswith("AttributeError: 'Seq2Seq' object has no attribute 'no_such_part'\n")
    with Database.open(f"sqlite:///{users_folder}/gradstudy.db") as database:
        trials = read_trials(database, "s")
    assert 5 <= trials["outcome"].eq("failed").sum() < 100
    assert set(trials["reason"].dropna()) == {"exception"}
    errors = command(
        users_folder, "query", "SELECT error FROM gradstudy_trial WHERE outcome = 'failed'", "--format=csv"
    )
    assert errors.stdout.count("no_such_part") >= 5


BATCHED = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, cell):
        super().__init__()
        self.hidden = nn.Linear(5, 4 if cell == "lstm" else 3)
        self.output = nn.Linear(self.hidden.out_features, 1)

    def forward(self, x):
        return self.output(torch.tanh(self.hidden(x)))


def problem(seed, cell, batch_size):
    def batches(step):
        x = torch.randn(batch_size, 5, generator=torch.Generator().manual_seed(seed + step))
        return x, x.sum(1, keepdim=True)

    return Net(cell), batches, lambda model, batch: nn.functional.l1_loss(model(batch[0]), batch[1])
"""


def test_a_model_that_can_be_batched_is_and_a_cell_is_given(gradstudy: Callable[..., Result], folder: Path) -> None:
    (folder / "small_nets.py").write_text(BATCHED)
    flags = ("--task=module:small_nets:problem", "--cells=lstm,gru", "--strategies=none,norm,zclip", "--lr=0.001:1000")
    flags = (*flags, "--sampler=qmc")
    launched = gradstudy("launch", "s", *flags, "--trials=12", "--steps=60", "--batch-size=4")
    assert (launched.exit_code, launched.stderr) == (0, "")
    lines = launched.stdout.splitlines()
    assert lines[2] == (
        f"module:small_nets:problem (lstm) from {folder}: Net of 29 parameters, many at a time, as one batched program"
    )
    assert "(gru)" in lines[3]
    assert "Net of 22 parameters" in lines[3]
    with Database.open("sqlite:///gradstudy.db") as database:
        trials = read_trials(database, "s")
    assert set(trials["cell"]) == {"lstm", "gru"}
    assert set(trials["outcome"]) >= {"trained", "diverged"}
    for number in trials.groupby("outcome")["number"].first():
        replayed = gradstudy("replay", "s", str(number))
        assert replayed.exit_code == 0, replayed.output
    resumed = gradstudy("launch", "s", *flags, "--trials=12", "--steps=60", "--batch-size=4")
    assert "is done" in resumed.stdout
    assert "Study s: module:small_nets:problem, sgd, 60 steps a trial" in gradstudy("report", "s").stdout


OF_SIZES = """
import torch
from torch import nn


def problem(seed, hidden, rate=0.0):
    model = nn.Sequential(nn.Linear(5, hidden), nn.Tanh(), nn.Dropout(rate), nn.Linear(hidden, 1))
    batches = [(x := torch.randn(8, 5), x.sum(1, keepdim=True)) for _ in range(5)]
    loss = lambda model, batch: nn.functional.l1_loss(model(batch[0]), batch[1])
    return model, batches, loss, batches, lambda parameters, lr: torch.optim.RMSprop(parameters, lr)
"""


def test_options_of_the_function_and_its_own_optimizer_can_be_varied(
    gradstudy: Callable[..., Result], folder: Path
) -> None:
    (folder / "of_sizes.py").write_text(OF_SIZES)
    flags = ("--task=module:of_sizes:problem", "--strategies=none,norm", "--lr=0.001:1000", "--steps=15")
    varied = ("--vary=hidden=2,30", "--vary=rate=0.0,0.5", "--vary=optimizer=own,sgd")
    launched = gradstudy("launch", "s", *flags, *varied, "--trials=16")
    assert (launched.exit_code, launched.stderr) == (0, "")
    assert "varied: hidden 2, 30\n" in launched.stdout
    with Database.open("sqlite:///gradstudy.db") as database:
        trials = read_trials(database, "s")
    assert set(trials["outcome"]) <= {"trained", "stalled", "diverged"}
    seen = {(given["hidden"], given["rate"], given["optimizer"]) for given in trials["factors"]}
    assert seen == {(size, rate, own) for size in (2, 30) for rate in (0.0, 0.5) for own in ("own", "sgd")}
    report = gradstudy("report", "s").stdout
    assert "Study s: module:of_sizes:problem, 15 steps a trial, hidden 2/30, rate 0.0/0.5, optimizer own/sgd" in report
    for own in ("own", "sgd"):
        number = next(row["number"] for row in trials.to_dict("records") if row["factors"]["optimizer"] == own)
        assert "they agree" in gradstudy("replay", "s", str(number)).stdout


@pytest.mark.parametrize(("trials", "failures"), [(2, 2), (50, 5)])
def test_a_study_whose_trials_all_fail_has_failed(
    gradstudy: Callable[..., Result], folder: Path, trials: int, failures: int
) -> None:
    (folder / "always_failing.py").write_text("def problem(seed):\n    raise KeyError('weights')\n")
    flags = ("--task=module:always_failing:problem", "--optimizer=sgd", "--strategies=none", f"--trials={trials}")
    for number in (1, 2):  # a launch does not count the failures of those before
        result = gradstudy("launch", "s", *flags)
        with Database.open("sqlite:///gradstudy.db") as database:
            failed = read_trials(database, "s")["outcome"].eq("failed").sum()
        assert failed == min(trials, number * failures)
        if failed == number * failures:
            assert result.exit_code == 1
            assert f"{failures} trials, one after the other, failed by an exception" in result.stderr
            assert result.stderr.rstrip().endswith("KeyError: 'weights'")
        else:
            assert "is done" in result.stdout


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--task=module:mine"], "must be of the form module:package.module:function"),
        (["--task=module:missing_one:problem"], "there is no module 'missing_one' in "),
        (["--task=module:mine_of_a_test:nothing"], "there is no function 'nothing' in "),
        (["--task=module:mine_of_a_test:problem", "--task-option=depth=2"], "no option 'depth': it takes hidden"),
        (["--task=module:mine_of_a_test:problem", "--vary=depth=2,3"], "no option 'depth': it takes hidden"),
        (
            ["--task=module:mine_of_a_test:problem", "--vary=hidden=2,2"],
            "must have different values, but got '2' twice",
        ),
        (["--task=module:mine_of_a_test:problem", "--cells=lstm"], "no parameter `cell`"),
        (["--task=module:mine_of_a_test:of_cells"], "needs `cell`, which --cells lstm,gru gives"),
        (["--task=module:mine_of_a_test:of_size"], "needs 'size', which --task-option size=NUMBER gives"),
        (["--task=module:mine_of_a_test:problem", "--precision=bfloat16"], "torch.autocast"),
        (["--task=module:breaks_on_import:problem"], "ZeroDivisionError: division by zero ("),
        (["--task=module:needs_more:problem"], "No module named 'not_installed' ("),
        (["--task=module:no_python:problem"], "no_python.py, line 1)"),
        (["--task=copy", "--optimizer=own"], "the built-in tasks take sgd, momentum, nesterov"),
        (
            ["--task=copy", "--cells=module"],
            "or rnn_tanh or rnn_relu, but got 'module'",
        ),
    ],
)
def test_what_cannot_be_studied_is_said_in_a_sentence(
    gradstudy: Callable[..., Result], folder: Path, flags: list[str], said: str
) -> None:
    (folder / "mine_of_a_test.py").write_text(
        "def problem(seed, hidden=1): ...\ndef of_cells(seed, cell): ...\ndef of_size(seed, size): ...\n"
    )
    (folder / "breaks_on_import.py").write_text("1 / 0\n")
    (folder / "needs_more.py").write_text("import not_installed\n")
    (folder / "no_python.py").write_text("def\n")
    result = gradstudy("launch", "s", *flags)
    assert result.exit_code == 2
    assert said in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not (folder / "gradstudy.db").exists()
