import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import inspect, make_url
from typer.testing import Result

from gradstudy.scripts.options import PASSWORD_VARIABLE
from gradstudy.storage.database import Database

GOOD = (("status", "s"), ("report", "s"), ("query", "SELECT * FROM trial_result"), ("replay", "s", "0"))
CURIOUS = """
import os, torch
open(f"seen-{os.getpid()}", "w").write("\\n".join(os.environ))
def problem(seed):
    return torch.nn.Linear(1, 1), [torch.ones(1, 1)], lambda module, batch: module(batch).square().sum()
"""
BAD = (("launch", "s", "--trials=9"), ("--debug", "status", "nosuch"), ("query", "SELECT nosuch"))


@pytest.mark.sampled
@pytest.mark.slow
@pytest.mark.parametrize("backend", ["postgresql", "mariadb"])
def test_no_output_file_or_table_shows_the_password(
    request: pytest.FixtureRequest,
    backend: str,
    password: str,
    flags: list[str],
    gradstudy: Callable[..., Result],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = make_url(request.getfixturevalue(f"guarded_{backend}_url")).set(password=password)
    monkeypatch.setenv("GRADSTUDY_STORAGE", url.render_as_string(hide_password=False))
    good = [gradstudy("launch", "s", *flags, "--workers=2"), *(gradstudy(*words) for words in GOOD)]
    bad = [gradstudy(*words) for words in BAD]
    assert [result.exit_code for result in good] == [0] * len(good)
    assert 0 not in [result.exit_code for result in bad]
    assert "guarded:***@" in good[0].output
    files = [file.read_bytes().decode(errors="replace") for file in folder.rglob("*") if file.is_file()]
    with Database.open(url.render_as_string(hide_password=False)) as db, db.engine.connect() as connection:
        names = inspect(connection).get_table_names()
        rows = [str(connection.exec_driver_sql(f"SELECT * FROM {name}").all()) for name in names]
    assert len(rows) > 15
    quoted = url.render_as_string(hide_password=False).partition("guarded:")[2].partition("@")[0]
    shown = "\n".join([*(result.output for result in good + bad), *files, *rows])
    assert [secret for secret in (password, quoted) if secret in shown] == []


@pytest.mark.sampled
@pytest.mark.parametrize("workers", ["1", "2"])
def test_code_of_a_study_does_not_see_the_password_of_the_dashboard(folder: Path, workers: str) -> None:
    (folder / "curious.py").write_text(CURIOUS)
    command = [sys.executable, "-m", "gradstudy.scripts.main", "launch", "s", "--task=module:curious:problem"]
    flags = ["--strategies=none", "--trials=2", "--steps=2", f"--workers={workers}"]
    environment = os.environ | {PASSWORD_VARIABLE: "Tr0ub4dor"}
    subprocess.run(command + flags, env=environment, check=True, capture_output=True)
    seen = [file.read_text().splitlines() for file in folder.glob("seen-*")]
    assert len(seen) >= int(workers)
    for names in seen:
        assert "PATH" in names
        assert PASSWORD_VARIABLE not in names
