import inspect
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from typer.testing import Result

from gradstudy.scripts.verbs.launch import launch
from gradstudy.scripts.verbs.probe import probe
from gradstudy.storage.database import Database
from gradstudy.storage.frames import read_trials
from gradstudy.storage.studies import find_study, list_studies

Run = Callable[..., Result]


def test_a_probe_creates_the_study_with_ranges_and_without_trials(gradstudy: Run, flags: list[str]) -> None:
    given = [flag for flag in flags if not flag.startswith("--workers")]
    result = gradstudy("probe", "s", *given, "--strategies", "norm,value,zclip", "--threshold", "value=0.01:0.5")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines()[-1] == "now: gradstudy launch s"
    with Database.open("sqlite:///gradstudy.db") as db:
        assert [study.name for study in list_studies(db)] == ["s"]
        thresholds = find_study(db, "s").spec["space"]["thresholds"]
        assert read_trials(db, "s").empty
    assert thresholds["value"] == [0.01, 0.5]
    assert 0 < thresholds["norm"][0] < thresholds["norm"][1] < 10
    assert "zclip" not in thresholds
    assert gradstudy("launch", "s", "--workers", "1").exit_code == 0
    with Database.open("sqlite:///gradstudy.db") as db:
        found = read_trials(db, "s")
        assert len(found) == 8
        assert found.query("strategy == 'norm'")["threshold"].between(*thresholds["norm"]).all()


def test_a_probe_says_why_a_range_is_the_catalogues(gradstudy: Run, flags: list[str]) -> None:
    given = [flag for flag in flags if not flag.startswith("--workers")]
    of_what_was_seen = {"autoclip", "zclip", "adagc", "spam_entry", "median_norm", "skip_z"}
    others = {"rms", "spectral", "recurrent", "recurrent_value"}
    result = gradstudy("probe", "s", *given, "--strategies", ",".join(["none", *of_what_was_seen, *others]))
    assert (result.exit_code, result.stderr) == (0, "")
    lines = [line for line in result.stdout.splitlines() if line]
    said = {line.split()[0]: line.partition("the catalogue: ")[2].strip() for line in lines}
    assert {name for name, why in said.items() if why == "relative to what a run has seen"} == of_what_was_seen
    assert {name for name, why in said.items() if why == "not measured"} == others


def test_a_study_that_exists_keeps_its_ranges(
    finished: Database, gradstudy: Run, contents: Callable[[], dict[str, bytes]]
) -> None:
    before = find_study(finished, "s")
    result = gradstudy("probe", "s")
    assert result.exit_code == 0
    assert "study s exists and keeps its ranges; for a new one: --threshold norm=" in result.stdout
    assert find_study(finished, "s") == before


def test_a_probe_takes_the_flags_of_a_launch() -> None:
    of_launch, of_probe = (set(inspect.signature(verb).parameters) for verb in (launch, probe))
    assert of_launch - of_probe == {
        *("context", "workers", "slots", "engine", "gpus", "detach", "enqueue"),
        *("external", "server", "password_file"),
    }
    assert of_probe <= of_launch


@pytest.mark.parametrize("words", [["--lr", "1e6:1e9"], ["--batch-size", "9999"], ["--device", "tpu"]])
def test_what_cannot_be_probed_makes_nothing(gradstudy: Run, flags: list[str], folder: Path, words: list[str]) -> None:
    given = [flag for flag in flags if not flag.startswith("--workers")]
    result = gradstudy("probe", "s", *given, *words)
    assert result.exit_code == 2
    assert result.stderr.startswith("gradstudy: ")
    assert list(folder.iterdir()) == []


def test_a_probe_takes_no_more_threads_than_cores(gradstudy: Run, flags: list[str]) -> None:
    given = [flag for flag in flags if not flag.startswith("--workers")]
    result = gradstudy("probe", "s", *given, "--threads", "999999")
    torch.set_num_threads(1)  # as the other tests have it
    assert result.exit_code == 0, result.output
    assert "gradstudy: --threads 999999 becomes " in result.stderr
