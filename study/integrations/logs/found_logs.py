"""The logs that a person means by files and folders."""

import json
import os
import re
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path

from gradstudy.study.errors import LogError
from gradstudy.study.integrations.logs import mlflow_log, wandb_log
from gradstudy.study.integrations.logs.csv_log import is_table, read_csv_log
from gradstudy.study.integrations.logs.entry import Entry, Log, Wanted
from gradstudy.study.integrations.logs.json_log import HISTORY, read_json_file, read_json_lines
from gradstudy.study.integrations.logs.tensorboard_log import read_events
from gradstudy.study.integrations.logs.text_file import opened_bytes, opened_text
from gradstudy.study.integrations.logs.text_log import read_text_log

EVENTS, TRAINER_STATE = "tfevents", "trainer_state.json"
IN_FOLDERS = (".csv", ".tsv", ".jsonl", ".ndjson", ".log", ".out", ".wandb")
"""Files of a folder that are tried; others only where they are named."""
MARK_OF_EVENTS = b"brain.Event:"
BEGINNING = 1 << 16
FIRST_LINES = 20
CHECKPOINT = re.compile(r"checkpoint-(\d+)")
SINCE_2001 = 1e12
"""Milliseconds: a smaller first column is no time of MLflow."""


def find_logs(paths: Sequence[Path]) -> list[Log]:
    """The logs of files and folders, in order; a folder may hold many.

    Raises:
        LogError: there is no such file, a folder holds no log, or a form needs what is not installed.
    """
    logs: list[Log] = []
    for path in paths:
        if path.is_dir():
            found = list(_of_folder(path))
            if not found:
                raise LogError(
                    f"the folder {path} holds no log: no event file, trainer_state.json, MLflow run, .wandb, "
                    ".csv, .jsonl or .log"
                )
            logs += found
        elif path.exists():
            logs.append(_of_file(path))
        else:
            raise LogError(f"there is no file or folder {path}")
    return logs


def _of_folder(root: Path) -> Iterator[Log]:
    if mlflow_log.is_run_folder(root):
        yield _mlflow_run(root)
        return
    for folder, subfolders, files in os.walk(root):
        here = Path(folder)
        runs = [name for name in subfolders if mlflow_log.is_run_folder(here / name)]
        yield from (_mlflow_run(here / name) for name in sorted(runs))
        has_own_log = any(name.endswith(".wandb") for name in files)  # whose subfolders repeat it
        kept = [] if has_own_log else sorted(name for name in subfolders if name not in runs and name[0] != ".")
        subfolders[:] = kept if TRAINER_STATE not in files else [name for name in kept if not CHECKPOINT.match(name)]
        yield from _of_files(here, sorted(files), subfolders)


def _of_files(folder: Path, files: Sequence[str], subfolders: list[str]) -> Iterator[Log]:
    events = [folder / name for name in files if EVENTS in name]
    if events:
        yield _events(events, str(folder))
    if TRAINER_STATE in files:
        yield Log(str(folder / TRAINER_STATE), "trainer_state.json", partial(read_json_file, folder / TRAINER_STATE))
    checkpoints = {int(found[1]): name for name in subfolders if (found := CHECKPOINT.fullmatch(name))}
    for number in sorted(checkpoints)[:-1]:  # each holds all that came before
        subfolders.remove(checkpoints[number])
    for name in files:
        is_log = name.removesuffix(".gz").endswith(IN_FOLDERS) or name == "mlflow.db"
        if is_log and EVENTS not in name and (folder / name).stat().st_size:
            yield _of_file(folder / name)


def _of_file(path: Path) -> Log:
    name = str(path)
    with opened_bytes(path) as file:
        beginning = file.read(BEGINNING)
    if beginning.startswith(wandb_log.MARK):
        _require_protobuf(path, "W&B's own file")
        return Log(name, "a W&B run", partial(wandb_log.read_wandb_file, path))
    if beginning.startswith(mlflow_log.DATABASE_MARK):
        return Log(name, "an MLflow database", partial(mlflow_log.read_database, path))
    if EVENTS in path.name or MARK_OF_EVENTS in beginning[:64]:
        return _events([path], name)
    with opened_text(path) as text:
        sample = text.read(BEGINNING)
    lines = sample.splitlines()
    if len(sample) == BEGINNING and len(lines) > 1:
        lines.pop()  # which is cut off
    if _is_json_lines(lines):
        return Log(name, "JSON lines", partial(read_json_lines, path))
    if re.match(r"""\s*(?:\{\s*"|\[\s*\{\s*")""", sample):
        return Log(name, "trainer_state.json" if HISTORY in sample else "JSON", partial(read_json_file, path))
    if is_table(lines[:FIRST_LINES]):
        return Log(name, "CSV", partial(read_csv_log, path))
    if _is_metric(lines[:FIRST_LINES]):
        return Log(name, "an MLflow metric", _metric(path))
    return Log(name, "text", partial(read_text_log, path))


def _is_json_lines(lines: Sequence[str]) -> bool:
    """Whether each line is a record: of a single one that holds lists or objects by name it is not known."""
    records = [line.strip() for line in lines if line.strip()]
    try:
        first = json.loads(records[0])
    except (ValueError, RecursionError, IndexError):
        return False
    if not isinstance(first, dict):
        return False
    return len(records) > 1 or not any(isinstance(value, (list, dict)) for value in first.values())


def _is_metric(lines: Sequence[str]) -> bool:
    rows = [line.split() for line in lines if line.strip()]
    return bool(rows) and all(len(row) == 3 and row[0].isdigit() and float(row[0]) >= SINCE_2001 for row in rows)


def _metric(path: Path) -> "partial[Iterator[Entry]]":
    def read(wanted: Wanted = None) -> Iterator[Entry]:  # a single metric has no other columns
        return mlflow_log.read_metric(path, path.name)

    return partial(read)


def _mlflow_run(folder: Path) -> Log:
    return Log(
        f"{folder} ({mlflow_log.run_name(folder)})", "an MLflow run", partial(mlflow_log.read_run_folder, folder)
    )


def _events(paths: Sequence[Path], name: str) -> Log:
    _require_protobuf(paths[0], "TensorBoard's event files")

    def read(wanted: Wanted = None) -> Iterator[Entry]:
        return chain.from_iterable(read_events(path, wanted) for path in paths)

    return Log(name, "TensorBoard", read)


def _require_protobuf(path: Path, what: str) -> None:
    from importlib.util import find_spec

    if find_spec("google") is None or find_spec("google.protobuf") is None:
        raise LogError(f'the log {path} needs protobuf for {what}; install it with: pip install "gradstudy[diagnose]"')
