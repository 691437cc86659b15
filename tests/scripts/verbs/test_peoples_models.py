"""Some of the models that are written as people write them, studied and replayed by the commands."""

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from gradstudy.storage.database import Database
from gradstudy.storage.frames import read_trials

PLACE = Path(__file__).parents[2] / "models" / "user_module"
MANY, ONE = "many at a time, as one batched program", "one at a time: "


@pytest.mark.sampled
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("translation:chatbot", MANY),
        ("translation:pointer_generator", MANY),
        ("tagging:indexed_tagger", MANY),
        ("language:weight_drop", MANY),
        ("plumbing:hooked", MANY),
        ("signals:time_sequence", MANY),
        ("decoding:greedy_item", f"{ONE}it reads values of tensors"),
        ("changing:largest_norm", f"{ONE}its embedding changes its own weights"),
    ],
)
def test_a_model_is_launched_and_replayed(
    model: str, said: str, folder: Path, monkeypatch: pytest.MonkeyPatch, gradstudy: Callable[..., Result]
) -> None:
    monkeypatch.chdir(PLACE)
    storage = f"--storage=sqlite:///{folder}/people.db"
    flags = ("--strategies=none,norm", "--lr=0.01:10", "--trials=6", "--steps=20", "--workers=1", "--batch-size=4")
    launched = gradstudy("launch", "s", f"--task=module:peoples_models.{model}", *flags, storage)
    assert launched.exit_code == 0, launched.output
    assert said in launched.output
    with Database.open(f"sqlite:///{folder}/people.db") as database:
        trials = read_trials(database, "s")
    assert len(trials) == 6
    assert set(trials["outcome"]) <= {"trained", "stalled", "diverged"}
    replayed = gradstudy("replay", "s", "3", storage)
    assert replayed.exit_code == 0, replayed.output
    assert "they agree" in replayed.output
