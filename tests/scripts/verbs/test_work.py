from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from gradstudy.storage import network_filesystem
from gradstudy.storage.database import Database
from gradstudy.storage.frames import read_trials
from gradstudy.storage.studies import find_study
from gradstudy.study.launch import create_or_resume
from gradstudy.study.spec.study_spec import stored_spec

Run = Callable[..., Result]


def test_a_worker_does_what_a_study_has_left(finished: Database, gradstudy: Run) -> None:
    spec = stored_spec(find_study(finished, "s"))
    create_or_resume(finished, spec.model_copy(update={"name": "t", "trials": 3}))
    result = gradstudy("work", "t", "--slots", "2")
    assert (result.exit_code, result.stderr) == (0, "")
    assert read_trials(finished, "t")["state"].tolist() == ["COMPLETE"] * 3


def test_a_study_that_is_done_needs_no_worker(finished: Database, gradstudy: Run) -> None:
    result = gradstudy("work", "s")
    assert (result.exit_code, result.output) == (0, "study s is done: all 8 trials have ended\n")


def test_a_worker_does_not_write_over_a_network(
    finished: Database, gradstudy: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text("27 1 0:47 / / rw - nfs4 server:/home rw\n")
    monkeypatch.setattr(network_filesystem, "MOUNTINFO", mounts)
    result = gradstudy("work", "s")
    assert result.exit_code == 2
    assert "is on a network filesystem (nfs4), where SQLite loses data" in result.stderr
