"""Archiving that is killed: each step is in one place at every moment, and whoever comes next ends it."""

import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from archiver import move, move_until_killed
from pandas.testing import assert_frame_equal

from gradstudy.storage.claims import Claim
from gradstudy.storage.database import Database
from gradstudy.storage.errors import ArchiveError
from gradstudy.storage.frames import read_steps
from gradstudy.storage.studies import StudyRecord

TRIALS, STEPS, ROWS = 12, 400, 800
"""Of the study, of each trial, and of a part: two trials."""
IN_FILES = "SELECT COALESCE(SUM(step_rows), 0) FROM gradstudy_archive"
IN_DATABASE = "SELECT COUNT(*) FROM gradstudy_step"


@pytest.fixture
def ended(run: Callable[..., Claim], db: Database, launched: StudyRecord) -> None:
    with db.engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE gradstudy_study SET budget = {TRIALS}")
    for trial in range(TRIALS):
        losses = np.random.default_rng(trial).normal(size=STEPS)
        losses[trial] = np.nan
        run("trained", losses=losses, objective=1.0)


def until_done(url: str, folder: Path | None) -> None:
    with suppress(ArchiveError):  # of what the server has ended meanwhile; "the same command goes on"
        move(url, folder, ROWS)
        return
    move(url, folder, ROWS)


@pytest.mark.parametrize("backend", ["sqlite", "postgresql"])
@pytest.mark.parametrize("kills", [2, pytest.param(60, marks=pytest.mark.soak)])
def test_no_kill_loses_or_doubles_a_step(
    db: Database, url: str, ended: None, tmp_path: Path, rows: Callable[[str], list[Any]], kills: int
) -> None:
    before = read_steps(db, "s")
    total = TRIALS * STEPS
    assert len(before) == total
    longest: dict[bool, float] = {}
    for undo in (False, True):  # nobody is killed, and it is done with
        start = time.monotonic()
        assert move_until_killed(url, None if undo else tmp_path, ROWS, None) == 0
        longest[undo] = time.monotonic() - start
    moment = random.Random(kills)
    half_done = 0
    for _ in range(kills):
        for undo in (False, True):
            folder = None if undo else tmp_path
            code = move_until_killed(url, folder, ROWS, moment.uniform(0, longest[undo]))
            assert code in (0, -signal.SIGKILL)
            # One statement: a server may end only now what it was asked to before the kill.
            [(in_files, in_database)] = rows(f"SELECT ({IN_FILES}), ({IN_DATABASE})")
            assert in_files + in_database == total
            half_done += 0 < in_files < total
            assert_frame_equal(read_steps(db, "s"), before)
            until_done(url, folder)
            assert rows(f"SELECT ({IN_FILES}), ({IN_DATABASE})") == [(0, total) if undo else (total, 0)]
            assert_frame_equal(read_steps(db, "s"), before)
    assert half_done or kills < 10  # of many, some came between two parts
