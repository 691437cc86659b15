"""Ctrl-C on a command that is at work."""

import signal
import subprocess
import sys
import time
from pathlib import Path

from gradstudy.storage.database import Database


def interrupt_once_running(command: list[str], db: Database) -> tuple[int, str]:
    """Press Ctrl-C as soon as two trials run; exit code and output."""
    path = Path(sys.executable).with_name("gradstudy")
    process = subprocess.Popen([path, *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    running = "SELECT COUNT(*) FROM gradstudy_trial WHERE trial_id IS NOT NULL AND outcome IS NULL"
    deadline = time.monotonic() + 60
    count = 0
    while count < 2:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)
        with db.engine.connect() as connection:
            count = connection.exec_driver_sql(running).scalar() or 0
    process.send_signal(signal.SIGINT)
    output = process.communicate(timeout=60)[0]
    return process.returncode, output
