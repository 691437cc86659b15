from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pandas.testing import assert_frame_equal
from pyarrow import parquet

from gradstudy.storage.archive import archiving
from gradstudy.storage.archive.archiving import archive_steps
from gradstudy.storage.archive.part_file import write_part
from gradstudy.storage.archive.records import Part, move_archive
from gradstudy.storage.archive.restoring import restore_steps
from gradstudy.storage.claims import Claim
from gradstudy.storage.database import Database
from gradstudy.storage.errors import ArchiveError
from gradstudy.storage.frames import read_steps
from gradstudy.storage.recorder import Steps, insert_steps
from gradstudy.storage.studies import StudyRecord, delete_study

Run = Callable[..., Claim]
Rows = Callable[[str], list[Any]]


@pytest.fixture
def ended(run: Run, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Five trials of 40, 41, 42, 43 and 44 steps, some not finite; a part has at most a hundred."""
    monkeypatch.setattr(archiving, "ROWS", 100)
    outcomes = ["diverged", "trained", "stalled", "diverged", "trained"]
    for place, outcome in enumerate(outcomes):
        losses = np.linspace(3, 1, 40 + place)
        losses[place] = np.nan
        run(outcome, losses=losses, objective=1.0)
    return outcomes


def archived(db: Database, study: StudyRecord, folder: Path) -> list[Part]:
    return list(archive_steps(db, study, folder))


def test_archived_steps_are_read_as_before(
    db: Database, launched: StudyRecord, ended: list[str], tmp_path: Path, rows: Rows
) -> None:
    asked: list[tuple[list[int] | None, int]] = [(None, 1), ([3, 0], 1), (None, 7), ([4], 100), ([9], 1), ([], 1)]
    before = [read_steps(db, "s", *each) for each in asked]
    assert len(before[0]) == 210
    parts = archived(db, launched, tmp_path)
    assert [(part.first, part.last, part.rows) for part in parts] == [(0, 1, 81), (2, 3, 85), (4, 4, 44)]
    assert rows("SELECT COUNT(*) FROM gradstudy_step") == [(0,)]
    for each, expected in zip(asked, before, strict=True):
        if len(expected):
            assert_frame_equal(read_steps(db, "s", *each), expected)
        else:
            assert len(read_steps(db, "s", *each)) == 0
    assert list(tmp_path.glob(".*.part")) == []
    files = sorted(tmp_path.glob("*.parquet"))
    assert [file.name for file in files] == [part.file for part in parts]
    assert sum(parquet.read_metadata(file).num_rows for file in files) == 210


def test_other_programs_read_the_files_as_the_view(
    db: Database, launched: StudyRecord, ended: list[str], tmp_path: Path, rows: Rows
) -> None:
    view = rows("SELECT * FROM step_result ORDER BY number, step")
    archived(db, launched, tmp_path)
    files = [parquet.read_table(file) for file in sorted(tmp_path.glob("*.parquet"))]
    assert [tuple(row.values()) for file in files for row in file.to_pylist()] == view


def test_what_is_undone_is_as_it_was(
    db: Database, launched: StudyRecord, ended: list[str], tmp_path: Path, rows: Rows
) -> None:
    steps = "SELECT * FROM gradstudy_step ORDER BY trial_id, step"
    before = rows(steps)
    archived(db, launched, tmp_path)
    assert sum(part.rows for part in restore_steps(db, launched)) == len(before)
    assert rows(steps) == before
    assert rows("SELECT COUNT(*) FROM gradstudy_archive") == [(0,)]
    assert len(list(tmp_path.glob("*.parquet"))) == 3
    archived(db, launched, tmp_path)  # again, into the same files
    assert len(list(tmp_path.glob("*.parquet"))) == 3


def test_trials_that_run_keep_their_steps_until_they_have_ended(
    db: Database, launched: StudyRecord, run: Run, begin: Run, tmp_path: Path, rows: Rows
) -> None:
    run("trained")
    running = begin()
    losses = np.array([5.0, 4.0])
    with db.engine.begin() as connection:
        steps = Steps(loss=losses, grad_norm=losses, applied_norm=losses, learning_rate=0.5)
        insert_steps(connection, running, steps)
    run("diverged")
    before = read_steps(db, "s")
    assert [part.rows for part in archived(db, launched, tmp_path)] == [4]
    assert rows("SELECT DISTINCT trial_id FROM gradstudy_step") == [(running.trial_id,)]
    assert_frame_equal(read_steps(db, "s"), before)


class StoppedError(Exception):
    """Stands for a process that ends at this moment."""


@pytest.fixture(params=["before the file", "before the database knows", "between two parts"])
def half_way(
    request: pytest.FixtureRequest, db: Database, launched: StudyRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], None]:
    """Archive, and end at one of the moments at which it matters."""

    def end(*given: Any, **named: Any) -> None:
        raise StoppedError

    def archive() -> None:
        with monkeypatch.context() as patch:
            if request.param == "before the file":
                patch.setattr(Path, "replace", end)
            elif request.param == "before the database knows":
                patch.setattr(archiving, "insert", end)
            with pytest.raises(StoppedError):
                end(next(archive_steps(db, launched, tmp_path)))

    return archive


def test_what_ends_half_way_loses_nothing_and_goes_on(
    db: Database, launched: StudyRecord, ended: list[str], half_way: Callable[[], None], tmp_path: Path, rows: Rows
) -> None:
    before = read_steps(db, "s")
    half_way()
    assert_frame_equal(read_steps(db, "s"), before)
    archived(db, launched, tmp_path)
    assert rows("SELECT SUM(step_rows), COUNT(*) FROM gradstudy_archive") == [(210, 3)]
    assert rows("SELECT COUNT(*) FROM gradstudy_step") == [(0,)]
    assert_frame_equal(read_steps(db, "s"), before)
    assert len(list(tmp_path.glob("*.parquet"))) == 3


def test_steps_that_change_meanwhile_stay(
    db: Database, launched: StudyRecord, ended: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_late(folder: Path, table: Any) -> str:
        name = write_part(folder, table)
        with db.engine.begin() as connection:
            connection.exec_driver_sql("DELETE FROM gradstudy_step WHERE step = 5")
        return name

    monkeypatch.setattr(archiving, "write_part", write_late)
    with pytest.raises(ArchiveError, match="changed while they were archived; they stay in the database"):
        archived(db, launched, tmp_path)
    assert len(read_steps(db, "s")) == 205


@pytest.mark.parametrize("backend", ["sqlite"])
def test_what_cannot_be_read_is_said_with_its_file(
    db: Database, launched: StudyRecord, ended: list[str], tmp_path: Path
) -> None:
    first, *_ = archived(db, launched, tmp_path)
    first.path.write_bytes(b"PAR1")
    with pytest.raises(ArchiveError, match=rf"archived in {first.path}, which cannot be read; put the file back"):
        read_steps(db, "s", [1])
    first.path.unlink()
    with pytest.raises(ArchiveError, match=rf"archived in {first.path}, which is not there; put the file back"):
        read_steps(db, "s", [1])
    with pytest.raises(ArchiveError, match="which is not there"):
        list(restore_steps(db, launched))
    assert len(read_steps(db, "s", [4])) == 44


@pytest.mark.parametrize("backend", ["sqlite"])
def test_files_may_be_moved_and_the_database_told(
    db: Database, launched: StudyRecord, ended: list[str], tmp_path: Path
) -> None:
    before = read_steps(db, "s")
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    parts = archived(db, launched, old)
    new.mkdir()
    with pytest.raises(ArchiveError, match="move all of its files there first"):
        move_archive(db, launched, new)
    for part in parts:
        part.path.rename(new / part.file)
    move_archive(db, launched, new)
    assert_frame_equal(read_steps(db, "s"), before)


def test_where_steps_are_goes_with_the_study(
    db: Database, launched: StudyRecord, ended: list[str], tmp_path: Path, rows: Rows
) -> None:
    archived(db, launched, tmp_path)
    delete_study(db, "s")
    assert rows("SELECT COUNT(*) FROM gradstudy_archive") == [(0,)]
    assert len(list(tmp_path.glob("*.parquet"))) == 3
