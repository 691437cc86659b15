"""Reports that other programs show: the trials of a study as their runs, in a folder."""

import shutil
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from gradstudy.scripts.errors import UsageError, require_extra
from gradstudy.scripts.printable import printable

if TYPE_CHECKING:
    from gradstudy.study.opened_study import OpenStudy
    from gradstudy.study.report.report import Report

LOOK = {
    "mlflow": "mlflow ui --backend-store-uri sqlite:///{folder}/mlflow.db",
    "tensorboard": "tensorboard --logdir {folder}",
    "wandb": "wandb sync {folder}/wandb/offline-run-*",
}
"""What shows, or uploads, what was written, by form; each is also the name of the package and of the extra."""


def check_export(form: str, folder: Path) -> None:
    """Make sure that runs can be written in this form into this folder.

    Raises:
        UsageError: the package is not installed, or the folder is not empty.
    """
    require_extra(form, f"--format {form}", form)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is there already, and not an empty folder; name another one with --output")


def export(study: "OpenStudy", report: "Report", form: str, folder: Path) -> None:
    """Write the trials of a study that have ended, one after the other; what was written goes where that fails."""
    from rich.console import Console
    from rich.progress import Progress

    from gradstudy.study.integrations.exports.exported_run import answer_in_words, exported_runs

    write = getattr(import_module(f"gradstudy.study.integrations.exports.to_{form}"), f"to_{form}")
    total, runs = exported_runs(report, study.trials(), study.steps)
    was_there = folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with Progress(console=Console(file=sys.stderr), transient=True) as progress:
            for _ in progress.track(write(runs, study.name, answer_in_words(report), folder), total, description=form):
                pass
    except BaseException:
        shutil.rmtree(folder)
        if was_there:
            folder.mkdir()
        raise
    look = LOOK[form].format(folder=folder)
    typer.echo(
        f"{total:,} {'run' if total == 1 else 'runs'} written to {printable(str(folder))}; now: {printable(look)}"
    )
