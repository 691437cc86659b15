import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from gradstudy.storage.database import Database
from gradstudy.storage.frames import read_trials

Run = Callable[..., Result]


@pytest.fixture
def diverged(finished: Database) -> str:
    """The number of a trial that diverged."""
    trials = read_trials(finished, "s")
    return str(trials.loc[trials["outcome"] == "diverged", "number"].iloc[0])


def test_a_rescue_says_from_where_and_which_remedies_save_how_often(gradstudy: Run, diverged: str) -> None:
    result = gradstudy("rescue", "s", diverged, "--runs", "2")
    assert result.exit_code == 0, result.output
    setting, how, control, *table = result.stdout.splitlines()
    assert setting.startswith(f"trial {diverged}: ")
    assert how.startswith("It diverged at step ")
    assert control.endswith("trained to step 20 with nothing changed, it diverged in the same way.")
    rows = [line for line in table if line.startswith(("half the learning rate", "norm at ", "warm-up anew, 2 steps"))]
    assert len(rows) == 3
    assert all(row.split("/2 ")[0].endswith((" 0", " 1", " 2")) for row in rows)
    assert not any(line.startswith("nothing") for line in table)


def test_remedies_are_written_as_rows(gradstudy: Run, diverged: str, folder: Path) -> None:
    result = gradstudy("rescue", "s", diverged, "--runs", "2", "--format", "json")
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)
    assert {"remedy", "runs", "survived", "share", "share_low", "share_high", "loss", "untrained_loss"} == set(rows[0])
    assert {"remedy": "nothing", "runs": 1, "survived": 0}.items() <= next(
        row for row in rows if row["remedy"] == "nothing"
    ).items()
    written = gradstudy("rescue", "s", diverged, "--runs", "2", "--format", "csv", "-o", "remedies.csv")
    assert written.exit_code == 0, written.output
    assert len((folder / "remedies.csv").read_text().splitlines()) == len(rows) + 1


OWN_MODEL = """
import torch
from torch import nn

WEIGHTS = torch.arange(1.0, 5.0)

def problem(seed):
    torch.manual_seed(seed)
    model = nn.Linear(4, 1)
    inputs = torch.randn(64, 4)
    targets = inputs @ WEIGHTS.unsqueeze(1) + 0.1 * torch.randn(64, 1)
    batches = [(inputs[n : n + 8], targets[n : n + 8]) for n in range(0, 64, 8)]
    return model, batches, lambda model, batch: nn.functional.mse_loss(model(batch[0]), batch[1])
"""


def test_a_model_of_ones_own_is_rescued_with_its_own_batches(gradstudy: Run, folder: Path) -> None:
    (folder / "mine.py").write_text(OWN_MODEL)
    words = "--task module:mine:problem --loss mse --strategies none --lr 1.5:2 --trials 2 --steps 40 --sampler qmc"
    assert gradstudy("launch", "own", *words.split()).exit_code == 0
    result = gradstudy("rescue", "own", "0")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"importing mine from {folder}\n")
    assert "with nothing changed, it diverged in the same way." in result.stdout
    rows = {line.split("  ")[0]: line.split("/1 ")[0][-1] for line in result.stdout.splitlines() if "/1 " in line}
    assert "another order of the data" not in rows
    assert "bad batches passed over" not in rows
    # Gradient descent on squares whose curvature is about 2 diverges above a rate of 1.
    assert rows["a tenth of the learning rate"] == "1"
    assert any(name.startswith("norm at ") for name in rows)
    as_rows = gradstudy("rescue", "own", "0", "--format", "json")
    assert as_rows.stderr.startswith("importing mine from ")
    assert json.loads(as_rows.stdout)


def test_code_of_ones_own_that_fails_is_shown(gradstudy: Run, folder: Path) -> None:
    module = folder / "failing.py"
    module.write_text(OWN_MODEL)
    words = "--task module:failing:problem --loss mse --strategies none --lr 1.5:2 --trials 1 --steps 40"
    assert gradstudy("launch", "own", *words.split()).exit_code == 0
    module.write_text(OWN_MODEL.replace("nn.functional.mse_loss(", "no_such_function("))
    sys.modules.pop("failing")
    result = gradstudy("rescue", "own", "0")
    assert result.exit_code == 1
    assert "NameError: name 'no_such_function' is not defined" in result.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["99"], "study 's' has no trial 99; its trials are 0 to 7"),
        (["0", "-o", "x"], "--output x needs a --format: csv, json or parquet"),
        (["0", "--format", "parquet"], "--format parquet needs --output FILE"),
        (["0", "--device", "x"], "device"),
    ],
)
def test_what_cannot_be_rescued_is_said_in_a_sentence(
    finished: Database, gradstudy: Run, words: list[str], said: str
) -> None:
    result = gradstudy("rescue", "s", *words)
    assert result.exit_code == 2
    assert said in result.stderr
    assert "Traceback" not in result.output
