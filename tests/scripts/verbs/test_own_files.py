"""Files of the user's own, through the command."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from gradstudy.storage.database import Database
from gradstudy.storage.frames import read_trials
from gradstudy.storage.studies import find_study

Run = Callable[..., Result]

SMALL = ("--hidden=8", "--steps=20", "--batch-size=8", "--trials=4", "--strategies=none,norm", "--threads=1")
COUNTRIES = Path(__file__).parents[2] / "models" / "data" / "iso3166.tab"
SUNSPOTS = Path(__file__).parents[3] / "models" / "tasks" / "sunspots.csv"


@pytest.fixture
def spec_of(folder: Path) -> Callable[[str], dict[str, object]]:
    def read(name: str) -> dict[str, object]:
        with Database.open(f"sqlite:///{folder}/gradstudy.db") as db:
            return find_study(db, name).spec

    return read


def test_a_study_of_pairs_says_what_it_read_and_can_be_replayed(gradstudy: Run, folder: Path) -> None:
    shutil.copy(COUNTRIES, folder / "countries.tsv")
    result = gradstudy("launch", "s", "--task=pairs:countries.tsv", *SMALL)
    assert (result.exit_code, result.stderr) == (0, "")
    read, how, decided = result.stdout.splitlines()[1:4]
    assert read == f"{folder}/countries.tsv, by char: 223 examples to train on, 25 to validate on"
    assert how == "read as tab, columns 1 and 2 of 2 (other ways: --task-option format=, columns=, header=)"
    assert decided.startswith("26 source symbols, 62 target symbols; longest 2 and 31; ")
    assert decided.endswith("29 comments; 2 longer than 40")
    assert gradstudy("replay", "s", "1").exit_code == 0
    assert f"pairs:{folder}/countries.tsv, sgd" in gradstudy("report", "s").stdout


def test_a_study_of_a_series_forecasts_with_the_loss_that_was_given(
    gradstudy: Run, folder: Path, spec_of: Callable[[str], dict[str, object]]
) -> None:
    shutil.copy(SUNSPOTS, folder / "spots.csv")
    flags = ["--task=series:spots.csv", "--window=8", "--forecast=2", "--no-standardize", "--loss=huber", *SMALL]
    result = gradstudy("launch", "s", *flags)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "read as comma, header on line 1; 1 column of 2, left out: YEAR (only counts) (other ways: " in result.stdout
    assert "columns SUNACTIVITY, as they are\n" in result.stdout
    spec = spec_of("s")
    assert spec["task_options"] == {"window": 8, "horizon": 2, "standardize": False}
    assert spec["loss"] == "huber"
    assert gradstudy("replay", "s", "2").exit_code == 0
    assert f"series:{folder}/spots.csv, huber, sgd" in gradstudy("report", "s").stdout


@pytest.mark.parametrize("task", ["adding", "temporal_order", "sunspots", "regression"])
def test_the_literatures_tasks_are_studied_and_reported(gradstudy: Run, folder: Path, task: str) -> None:
    length = ["--task-option=length=12"] if task in ("adding", "temporal_order") else []
    result = gradstudy("launch", "s", f"--task={task}", *length, *SMALL)
    assert (result.exit_code, result.stderr) == (0, "")
    with Database.open(f"sqlite:///{folder}/gradstudy.db") as db:
        trials = read_trials(db, "s")
    assert set(trials["outcome"]) <= {"trained", "stalled", "diverged"}
    assert (trials["objective"] > 0).all()
    assert gradstudy("replay", "s", "0").exit_code == 0
    assert gradstudy("report", "s").exit_code == 0


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("pairs", b"a\tb\nc d\n", "FILE, line 2: there is no tab between source and target in 'c d': give two files as "
                                  "pairs:SOURCES,TARGETS, or a lexicon with --task-option format=lexicon"),
        ("pairs", "ä\tb\n".encode() + b"\xe9\tb\n", "FILE, line 2: byte 5 is 0xe9, which is not UTF-8: save the "
                                                    "file as UTF-8"),
        ("pairs", b"a\tb\nc\td\ne\tf\n", "batch_size must be at most the 2 pairs that task 'pairs:FILE' has to train "
                                          "on, but got 8"),
        ("series", b"a\n1\nx\n2\n3\n", "FILE, line 3: the cell of column 'a' is 'x', which is not a number: "
                                       "--task-option missing=x reads it as a gap"),
        ("series", b"", "FILE is empty"),
    ],
)  # fmt: skip
def test_a_broken_file_makes_nothing(gradstudy: Run, folder: Path, name: str, content: bytes, sentence: str) -> None:
    (folder / "mine").write_bytes(content)
    result = gradstudy("launch", "s", f"--task={name}:mine", *SMALL)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"gradstudy: {sentence}\n".replace("FILE", str(folder / "mine"))
    assert [path.name for path in folder.iterdir()] == ["mine"]


@pytest.mark.parametrize("detach", [["--detach"], [SMALL[-1]]])
def test_how_a_file_was_read_is_said_before_anything_runs(gradstudy: Run, folder: Path, detach: list[str]) -> None:
    rows = "".join(f"{day:02}.01.2021;{day * 37 % 11},5;{-9999 if day == 9 else day % 7},25\n" for day in range(1, 31))
    (folder / "power.csv").write_text(f"Tag;kW;Wind\n{rows}")
    result = gradstudy("launch", "s", "--task=series:power.csv", "--window=4", "--forecast=1", *SMALL[:-1], *detach)
    assert (result.exit_code, result.stderr) == (0, "")
    assert (
        "read as semicolon, decimal comma, header on line 1; 2 columns of 3, left out: Tag (time) (other ways: "
        "--task-option separator=, decimal=, header=, columns=, missing=, gaps=)\n"
        "careful: 1 cell of Wind holds -9999.25, far from all others: --task-option missing=-9999.25 reads "
        "it as a gap\n"
    ) in result.stdout


def test_two_files_are_kept_with_their_full_paths(
    gradstudy: Run, folder: Path, spec_of: Callable[[str], dict[str, object]]
) -> None:
    for name in ("train.en", "train.fr"):
        (folder / name).write_text("".join(f"{name} {number}\n" for number in range(20)))
    result = gradstudy("launch", "s", "--task=pairs:train.en,train.fr", *SMALL)
    assert (result.exit_code, result.stderr) == (0, "")
    assert spec_of("s")["task"] == f"pairs:{folder}/train.en,{folder}/train.fr"
    (folder / "train.fr").write_text("other\n" * 20)
    changed = gradstudy("launch", "s", "--task=pairs:train.en,train.fr", *SMALL)
    assert changed.exit_code == 2
    assert "has changed: the study was launched with" in changed.stderr


def test_a_worker_without_the_file_or_with_another_one_says_so(gradstudy: Run, folder: Path) -> None:
    shutil.copy(SUNSPOTS, folder / "spots.csv")
    assert gradstudy("launch", "s", "--task=series:spots.csv", *SMALL[:-1], "--detach").exit_code == 0
    (folder / "spots.csv").rename(folder / "elsewhere.csv")
    missing = gradstudy("work", "s")
    assert (missing.exit_code, missing.stdout) == (2, "")
    assert missing.stderr.startswith(f"gradstudy: there is no file {folder}/spots.csv on ")
    (folder / "spots.csv").write_text((folder / "elsewhere.csv").read_text() + "2009,3\n")
    changed = gradstudy("work", "s")
    assert (changed.exit_code, changed.stdout) == (2, "")
    assert changed.stderr.startswith(f"gradstudy: the file of task 'series:{folder}/spots.csv' has changed: ")
