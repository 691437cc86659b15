"""Options that several verbs share."""

from typing import Annotated

import typer

DEFAULT_STORAGE = "sqlite:///gradstudy.db"

Storage = Annotated[
    str,
    typer.Option(
        "--storage",
        envvar="GRADSTUDY_STORAGE",
        help="URL of the results database.",
        show_default=DEFAULT_STORAGE,
        metavar="URL",
    ),
]
DEFAULT_SLOTS = 16

Slots = Annotated[int, typer.Option(min=1, help="Trials that a worker trains at once.")]
Threads = Annotated[int, typer.Option(min=1, help="Threads that a worker computes with.")]
Device = Annotated[str, typer.Option(help="Where to train: cpu or cuda.")]
StudyName = Annotated[str, typer.Argument(metavar="NAME", help="Name of the study.")]
