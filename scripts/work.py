"""``gradstudy work NAME``: one worker of a study, on any machine that reaches the database."""

import os
import sys
import threading
from typing import Annotated

import typer

from gradstudy.scripts.edge import INTERRUPTED
from gradstudy.scripts.options import DEFAULT_SLOTS, DEFAULT_STORAGE, Device, Slots, Storage, StudyName, Threads


def work(
    name: StudyName,
    storage: Storage = DEFAULT_STORAGE,
    slots: Slots = DEFAULT_SLOTS,
    threads: Threads = 1,
    device: Device = "cpu",
    until_end_of_input: Annotated[
        bool, typer.Option("--until-end-of-input", hidden=True, help="Stop in order when standard input ends.")
    ] = False,
) -> None:
    """Add a worker to a study that was launched."""
    from gradstudy.scripts.progress import StudyProgress, counts_of_open_study
    from gradstudy.scripts.stopping import stop_on_signal
    from gradstudy.storage.database import Database
    from gradstudy.storage.studies import find_study
    from gradstudy.study.device import check_device
    from gradstudy.study.launch import load_data, stored_spec
    from gradstudy.study.worker import Worker

    check_device(device)
    with Database.open(storage) as database:
        record = find_study(database, name)
        spec = stored_spec(record)
        counts = counts_of_open_study(database, record)
        if counts is None:
            return
        import torch

        torch.set_num_threads(threads)
        data = load_data(spec)
        with StudyProgress(record.budget, counts) as progress, stop_on_signal(progress.stopping) as stop:
            if until_end_of_input:
                threading.Thread(target=_stop_at_end_of_input, args=(stop,), daemon=True).start()
            Worker(database, record, spec, data, slots=slots, device=device, listener=progress).run(stop)
        if stop.is_set():
            raise typer.Exit(INTERRUPTED)


def _stop_at_end_of_input(stop: threading.Event) -> None:
    # Not through sys.stdin, whose lock a thread must not hold when the interpreter ends.
    while os.read(sys.stdin.fileno(), 1):
        pass
    stop.set()
