"""Ctrl-C on a command that is at work."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from waiting import PATIENCE_SECONDS, until

from gradstudy.storage.database import Database


def interrupt_once_running(
    command: list[str], db: Database, at: Callable[[], object] = lambda: True
) -> tuple[int, str]:
    """Press Ctrl-C as soon as two trials run, which are to be slow ones, and ``at`` holds; exit code and output."""
    path = Path(sys.executable).with_name("gradstudy")
    process = subprocess.Popen([path, *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        until(lambda: at() and running_trials(db) >= 2, or_ends=process.poll)
        process.send_signal(signal.SIGINT)
        output = process.communicate(timeout=PATIENCE_SECONDS)[0]
    finally:
        process.kill()
    return process.returncode, output


def running_trials(db: Database) -> int:
    """Trials that a worker trains."""
    running = "SELECT COUNT(*) FROM gradstudy_trial WHERE trial_id IS NOT NULL AND outcome IS NULL"
    with db.engine.connect() as connection:
        return int(connection.exec_driver_sql(running).scalar_one())
