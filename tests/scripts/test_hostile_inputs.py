"""Every hostile input ends in a sentence: no traceback, no secret, nothing half made, no other file changed."""

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hostile_inputs import COMMANDS, PARTS, SQL, TOML, URLS
from typer.testing import Result

from gradstudy.storage.database import Database
from gradstudy.storage.errors import StorageError
from gradstudy.study import open_study

Run = Callable[..., Result]
LAUNCH = ("launch", "s", "--task=copy", "--trials=1", "--steps=1", "--detach")


@pytest.fixture
def surroundings(folder: Path, finished_file: Path) -> Path:
    """Things that must stay as they are: a text, a pipe, a link to itself, a database."""
    (folder / "notes.txt").write_text("Dear diary")
    (folder / "empty.zip").write_bytes(b"PK\5\6" + bytes(18))
    (folder / "loop").symlink_to("loop")
    os.mkfifo(folder / "pipe")
    shutil.copy(finished_file, folder / "gradstudy.db")
    return folder


def state(folder: Path) -> dict[str, tuple[int, bytes | None]]:
    """Names, modes and contents of all that is there."""
    return {
        str(path): (path.lstat().st_mode, path.read_bytes() if path.is_file() else None)
        for path in sorted(folder.rglob("*"))
    }


def fault_of(result: Result) -> str | None:
    """What is wrong with the end of a command, None for a good one."""
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        return repr(result.exception)
    if result.exit_code not in (1, 2):
        return f"exit code {result.exit_code}"
    if not result.stderr.strip() or "Traceback" in result.output:
        return f"says {result.output!r}"
    if [part for part in PARTS if part in result.output]:
        return f"tells {result.output!r}"
    if not result.output.replace("\n", "").isprintable():
        return f"sends {result.output!r}"
    return None


def faults(run: Callable[[str], Result], inputs: tuple[str, ...]) -> dict[str, str]:
    found = {given: fault_of(run(given)) for given in inputs}
    return {given: fault for given, fault in found.items() if fault is not None}


@pytest.mark.sampled
@pytest.mark.parametrize("words", [LAUNCH, ("status",), ("query", "SELECT 1")], ids=lambda words: words[0])
def test_database_urls(gradstudy: Run, surroundings: Path, words: tuple[str, ...]) -> None:
    before = state(surroundings)
    assert faults(lambda url: gradstudy(*words, "--storage", url), URLS) == {}
    assert state(surroundings) == before


def test_database_urls_in_the_environment(gradstudy: Run, surroundings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = state(surroundings)

    def run(url: str) -> Result:
        monkeypatch.setenv("GRADSTUDY_STORAGE", url)
        return gradstudy("serve", "--port=0", "--workers=1")

    assert faults(run, tuple(url for url in URLS if url.strip() and "\0" not in url)) == {}
    assert state(surroundings) == before


@pytest.mark.parametrize("how", ["open", "open_study"])
def test_database_urls_in_python(surroundings: Path, how: str) -> None:
    before, told = state(surroundings), []
    for url in filter(None, URLS):  # an empty one is none
        try:
            Database.open(url, create=True).close() if how == "open" else open_study("s", url)
        except StorageError as error:
            told += [(url, str(error))] if any(part in str(error) for part in PARTS) else []
        else:
            told.append((url, "is taken"))
    assert told == []
    assert state(surroundings) == before


def test_spec_files(gradstudy: Run, surroundings: Path) -> None:
    found = {}
    for text in TOML:
        (surroundings / "s.toml").write_bytes(text)
        before = state(surroundings)
        fault = fault_of(gradstudy("launch", "s.toml", "--detach", "--storage=sqlite:///new.db"))
        made = state(surroundings) != before
        found |= {text[:60]: fault or "made something"} if fault or made else {}
    assert found == {}


def test_command_lines(gradstudy: Run, surroundings: Path) -> None:
    before = state(surroundings)
    assert faults(lambda line: gradstudy(*line.split(" ")), COMMANDS) == {}
    assert state(surroundings) == before


def test_statements(gradstudy: Run, surroundings: Path) -> None:
    before = state(surroundings)
    assert faults(lambda sql: gradstudy("query", "--timeout=20", "--", sql), SQL) == {}
    assert state(surroundings) == before


@pytest.mark.parametrize(
    ("words", "environment"),
    [
        (("status", "--storage", "postgresql://anna:Tr0ub4dor@Xyzzy9:Plugh7@h/d"), {}),
        (("status", "Tr\udcff", "--storage", "sqlite:///nosuch.db"), {}),
        (("launch", "größe"), {"PYTHONIOENCODING": "ascii"}),
        (("query", "SELECT '\udcff'"), {}),
    ],
)
def test_the_command_itself(surroundings: Path, words: tuple[str, ...], environment: dict[str, str]) -> None:
    command = [sys.executable, "-m", "gradstudy.scripts.main", *map(os.fsencode, words)]
    ended = subprocess.run(command, env=os.environ | environment, capture_output=True, check=False)
    assert ended.returncode == 2
    assert b"Traceback" not in ended.stderr
    assert not [part for part in PARTS if part.encode() in ended.stderr + ended.stdout]


@pytest.mark.parametrize("seed", range(12))
def test_a_damaged_file(gradstudy: Run, surroundings: Path, seed: int) -> None:
    """A page of noise, single letters of noise, or the end is gone: what can be read is, and the rest is a sentence."""
    path, chance = surroundings / "gradstudy.db", random.Random(seed)
    whole = path.read_bytes()
    damaged = bytearray(whole)
    if seed % 3 == 0:
        start = chance.randrange(len(whole) - 4096)
        damaged[start : start + 4096] = chance.randbytes(4096)
    elif seed % 3 == 1:
        for _ in range(100):
            damaged[chance.randrange(len(whole))] = chance.randrange(256)
    else:
        damaged = damaged[: chance.randrange(100, len(whole))]
    path.write_bytes(damaged)
    for words in (("status",), ("report", "s"), ("query", "SELECT * FROM trial_result"), ("launch", "s")):
        result = gradstudy(*words)
        assert result.exit_code == 0 or fault_of(result) is None


def test_a_lock_that_is_none_stays(gradstudy: Run, surroundings: Path) -> None:
    (surroundings / "new.db.lock").write_text("not a lock, but a text that is long enough to be none")
    before = state(surroundings)
    result = gradstudy(*LAUNCH, "--storage", "sqlite:///new.db")
    assert "new.db.lock should be gradstudy's lock and holds something else" in result.stderr
    assert (result.exit_code, state(surroundings)) == (2, before)


def test_a_folder_that_is_gone(surroundings: Path) -> None:
    (surroundings / "gone").mkdir()
    code = "import os, runpy; os.rmdir(os.getcwd()); runpy.run_module('gradstudy.scripts.main', run_name='__main__')"
    ended = subprocess.run(
        [sys.executable, "-c", code, "status"], cwd=surroundings / "gone", capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "gradstudy: the current folder is gone or closed to this user; change to another one\n"


@pytest.mark.parametrize("form", ["table", "json", "csv"])
def test_what_a_terminal_would_obey_is_shown(gradstudy: Run, surroundings: Path, form: str) -> None:
    result = gradstudy("query", "SELECT char(27) || '[31m' AS a, 'line' || char(10) || 'line' AS b", "--format", form)
    assert result.exit_code == 0
    assert ("\x1b" in result.output) is (form == "csv")  # which must hold the value itself


def test_equal_names_of_columns_are_all_kept(gradstudy: Run, surroundings: Path) -> None:
    result = gradstudy("query", "SELECT 1 AS a, 2 AS a, 3 AS a_2, 4 AS a", "--format", "json")
    assert json.loads(result.stdout) == [{"a": 1, "a_3": 2, "a_2": 3, "a_4": 4}]
