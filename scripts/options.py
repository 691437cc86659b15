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
StudyName = Annotated[str, typer.Argument(metavar="NAME", help="Name of the study.")]
