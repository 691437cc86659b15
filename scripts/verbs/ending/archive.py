"""``gradstudy archive NAME``: the steps of ended trials in files instead of the database."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gradstudy.scripts.options import Storage, StudyName
from gradstudy.storage.default_storage import DEFAULT_STORAGE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gradstudy.storage.archive.records import Part


def archive(
    name: StudyName,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FOLDER",
            help="Where the files go, or where they were moved to.",
            show_default="where the study's archive is, else NAME-steps",
        ),
    ] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Put the steps back into the database; the files stay.")] = False,
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """Move the steps of trials that have ended into Parquet files, which reports still read."""
    from gradstudy.scripts.errors import UsageError
    from gradstudy.storage.archive.archiving import archive_steps
    from gradstudy.storage.archive.records import archive_folder, move_archive
    from gradstudy.storage.archive.restoring import restore_steps
    from gradstudy.storage.database import Database
    from gradstudy.storage.studies import find_study

    if undo and output is not None:
        raise UsageError("--undo reads the files where the study's archive is, and takes no --output")
    with Database.open(storage) as database:
        record = find_study(database, name)
        known = archive_folder(database, record)
        if undo:
            if known is None:
                raise UsageError(f"no steps of study {name} are archived")
            _said(f"restored {{}} of study {name} from {known}", restore_steps(database, record))
            return
        folder = (output or known or Path(f"{name}-steps")).absolute()
        if known is not None and folder != known:
            move_archive(database, record, folder)
        _make(folder)
        _said(f"archived {{}} of study {name} in {folder}", archive_steps(database, record, folder))


def _make(folder: Path) -> None:
    from gradstudy.scripts.errors import UsageError

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"the folder {folder} cannot be made: {error.strerror}") from error


def _said(sentence: str, parts: "Iterable[Part]") -> None:
    """Work through parts, with how far that is on standard error, and say what was done."""
    from rich.console import Console
    from rich.progress import Progress

    from gradstudy.scripts.printable import printable

    rows = files = 0
    console = Console(file=sys.stderr)
    with Progress("{task.description}", console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=None)
        for part in parts:
            rows, files = rows + part.rows, files + 1
            progress.update(task, description=f"{rows:,} steps, up to trial {part.last}")
    typer.echo(printable(sentence.format(f"{rows:,} steps ({files} {'file' if files == 1 else 'files'})")))
