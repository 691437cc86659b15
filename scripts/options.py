"""Options that several verbs share."""

import re
from typing import Annotated

import typer

from gradstudy.storage.default_storage import DEFAULT_STORAGE, STORAGE_VARIABLE

Storage = Annotated[
    str,
    typer.Option(
        "--storage",
        envvar=STORAGE_VARIABLE,
        help="URL of the results database.",
        show_default=DEFAULT_STORAGE,
        metavar="URL",
    ),
]
AUTO = "auto"
MOST_DIGITS = 100
"""Of a number that is given: Python refuses to read one of thousands."""
PASSWORD_VARIABLE = "GRADSTUDY_DASHBOARD_PASSWORD"


def _checked_slots(text: str) -> str:
    if text != AUTO and not (text.isdecimal() and len(text) <= MOST_DIGITS and int(text) > 0):
        raise typer.BadParameter(f"slots must be {AUTO} or a whole number from 1, but got {text!r}")
    return text


Slots = Annotated[
    str,
    typer.Option(
        callback=_checked_slots,
        metavar="auto|N",
        help="Trials that a worker trains at once; auto fits device and model.",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        min=1,
        envvar="GRADSTUDY_WORKERS",
        help="Worker processes on this machine.",
        show_default="one for each core",
        show_envvar=False,
    ),
]
Threads = Annotated[int, typer.Option(min=1, help="Threads that a worker computes with.")]
Device = Annotated[str, typer.Option(help="Where to train: cpu, cuda, cuda:N or mps.")]


def checked_address(text: str | None) -> str | None:
    """``HOST:PORT``, or nothing."""
    if text is not None and not re.fullmatch(r"[^\s:]+:\d{1,5}", text):
        raise typer.BadParameter(f"an address is HOST:PORT, but got {text!r}")
    return text


OptunaProxy = Annotated[
    str | None,
    typer.Option(
        envvar="GRADSTUDY_OPTUNA_PROXY",
        callback=checked_address,
        metavar="HOST:PORT",
        help="Optuna's gRPC proxy to go through, where one runs (gradstudy serve --proxy).",
        show_default=False,
    ),
]
StudyOrFile = Annotated[
    str | None,
    typer.Argument(metavar="NAME|FILE.toml", help="Name of the study, or its spec.", show_default="that of the preset"),
]
StudyName = Annotated[str, typer.Argument(metavar="NAME", help="Name of the study.")]
