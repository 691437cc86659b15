"""What --output names is replaced when all is written, or written through where it is no file."""

import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from gradstudy.scripts.errors import UsageError
from gradstudy.scripts.output.output_file import opened
from gradstudy.storage.database import Database

Run = Callable[..., Result]


def write(path: Path, text: bytes = b"new") -> None:
    with opened(path) as file:
        file.write(text)


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o755])
def test_a_file_that_is_there_keeps_its_mode(folder: Path, mode: int) -> None:
    path = folder / "rows"
    path.write_text("old")
    path.chmod(mode)
    write(path)
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("new", mode)


def test_a_new_file_has_the_mode_that_the_system_gives(folder: Path) -> None:
    (folder / "other").touch()
    write(folder / "rows")
    assert (folder / "rows").stat().st_mode == (folder / "other").stat().st_mode


@pytest.mark.parametrize("there", [True, False])
def test_a_link_stays_a_link(folder: Path, there: bool) -> None:
    if there:
        (folder / "target").write_text("old")
    (folder / "link").symlink_to("target")
    write(folder / "link")
    assert (folder / "link").is_symlink()
    assert (folder / "target").read_text() == "new"


def test_a_device_stays_a_device(gradstudy: Run, finished: Database) -> None:
    assert gradstudy("query", "SELECT 1", "-o", os.devnull).exit_code == 0
    assert gradstudy("report", "s", "--format", "csv", "-o", os.devnull).exit_code == 0
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)  # noqa: PTH116


def test_a_pipe_is_written_through(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append((folder / "pipe").read_bytes()))
    reader.start()
    write(folder / "pipe")
    reader.join()
    assert read == [b"new"]
    assert (folder / "pipe").is_fifo()


def test_a_link_at_the_name_of_before_is_not_followed(folder: Path) -> None:
    (folder / "victim").write_text("mine")
    (folder / ".rows.part").symlink_to("victim")
    write(folder / "rows")
    assert (folder / "victim").read_text() == "mine"
    assert (folder / "rows").read_text() == "new"


@pytest.mark.parametrize("output", [".", "..", "/", "no/rows", "rows/x", "loop", "n" * 300, "/dev/full"])
def test_what_cannot_be_written_is_said_and_nothing_is_left(
    gradstudy: Run, finished: Database, folder: Path, output: str
) -> None:
    (folder / "rows").write_text("old")
    (folder / "loop").symlink_to("loop")
    before = sorted(folder.iterdir())
    for words in (("query", "SELECT 1"), ("report", "s", "--format", "csv")):
        result = gradstudy(*words, "--output", output)
        assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
        assert result.stderr.startswith(f"gradstudy: --output takes a file that can be written, but {output} cannot: ")
    assert sorted(folder.iterdir()) == before
    assert (folder / "rows").read_text() == "old"


def test_a_disk_that_is_full_is_said(folder: Path) -> None:
    with pytest.raises(UsageError, match="/dev/full cannot: No space left on device"):
        write(Path("/dev/full"), b"x" * 100_000)


def test_what_fails_on_the_way_leaves_the_old_file(folder: Path) -> None:
    (folder / "rows").write_text("old")

    def fail() -> None:
        with opened(folder / "rows") as file:
            file.write(b"new")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert (folder / "rows").read_text() == "old"
    assert [path.name for path in folder.iterdir()] == ["rows"]
