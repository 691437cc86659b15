"""A worker in a process that was forked for it: ``gradstudy work``, as ``python -m`` would start it."""

import os
import runpy
import sys
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path

SPEC_VARIABLE = "GRADSTUDY_PRELOADED_SPEC"
"""The environment variable that names the file by which the process that workers are forked from gets the spec of
their study, as JSON; its lock is held until it is there."""


def run_forked(arguments: Sequence[str], environment: Mapping[str, str], log: Path, told: Connection) -> None:
    """Run ``gradstudy work`` in this process, and end it.

    Args:
        arguments: of the command.
        environment: of the process that wanted the worker.
        log: to which it adds what it says.
        told: its standard input.
    """
    os.setsid()  # Ctrl-C reaches the process that wanted it only, which then asks the workers to stop
    os.environ.clear()
    os.environ.update(environment)
    written = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for descriptor, stream in ((told.fileno(), 0), (written, 1), (written, 2)):
        os.dup2(descriptor, stream)
    os.close(written)
    told.close()
    sys.stdin, sys.stdout, sys.stderr = (open(n, mode) for n, mode in enumerate("rww"))  # noqa: SIM115, PTH123
    sys.argv = ["gradstudy", "work", *arguments]
    runpy.run_module("gradstudy.scripts.main", run_name="__main__")
