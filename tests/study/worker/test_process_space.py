"""Two processes of one host name, one of which has PID numbers of its own."""

import os
import subprocess
import sys

import pytest

from gradstudy.study.worker.process_space import is_alive, process_space

SAY = [sys.executable, "-c", "from gradstudy.study.worker.process_space import process_space; print(process_space())"]


def test_processes_that_see_each_other_are_in_one_space() -> None:
    space = process_space()
    assert space is not None
    assert len(space) <= 64
    assert subprocess.run(SAY, capture_output=True, text=True, check=True).stdout.strip() == space
    assert is_alive(os.getpid())
    process = subprocess.Popen(["true"])
    process.wait()
    assert not is_alive(process.pid)


def test_a_container_is_a_space_of_its_own() -> None:
    inside = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc"]
    try:
        can = subprocess.run([*inside, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        can = False
    if not can:
        pytest.skip("this machine lets nobody make a PID namespace")
    assert subprocess.run([*inside, *SAY], capture_output=True, text=True, check=True).stdout.strip() != process_space()
