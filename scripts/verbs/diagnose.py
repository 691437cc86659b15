"""``gradstudy diagnose FILE…``: what happened in somebody's training logs."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gradstudy.scripts.exit_codes import DIVERGED
from gradstudy.scripts.printable import printable

if TYPE_CHECKING:
    from gradstudy.study.diagnosis.diagnose import Diagnosis

Form = Literal["terminal", "json", "markdown", "html"]


def diagnose(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE…", help="Logs, and folders that are searched for logs.", show_default=False),
    ],
    loss: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="The loss to judge by.", show_default="recognised")
    ] = None,
    norm: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="The gradient's norm.", show_default="recognised")
    ] = None,
    lr: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="The learning rate.", show_default="recognised")
    ] = None,
    step: Annotated[str | None, typer.Option(metavar="COLUMN", help="The step.", show_default="recognised")] = None,
    untrained: Annotated[
        float | None,
        typer.Option(metavar="LOSS", help="Loss of the untrained model.", show_default="the first of the log"),
    ] = None,
    form: Annotated[Form, typer.Option("--format", help="How the diagnosis is written.")] = "terminal",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Where to write it.", show_default="the terminal; html: a file"
        ),
    ] = None,
) -> None:
    """Say of training logs whether a run diverged, from which step on, and what to try.

    The exit code is 3 where a run diverged, or has not a single finite loss.
    """
    from gradstudy.scripts.errors import UsageError
    from gradstudy.study.diagnosis.diagnose import diagnose

    if form == "terminal" and output is not None:
        raise UsageError(f"--output {output} needs a --format: html, markdown or json")
    if untrained is not None and not math.isfinite(untrained):
        raise UsageError(f"--untrained takes a finite loss, but got {untrained}")
    if form == "html" and output is None:
        output = Path("diagnosis.html")
    given = {"loss": loss, "norm": norm, "rate": lr, "step": step}
    made = diagnose(files, {what: column for what, column in given.items() if column is not None}, untrained)
    _write(made, form, output)
    if made.has_bad:
        raise typer.Exit(DIVERGED)


def _write(made: "Diagnosis", form: Form, output: Path | None) -> None:
    from gradstudy.scripts.output.output_file import opened

    if form == "terminal":
        from gradstudy.study.diagnosis.terminal import print_diagnosis

        print_diagnosis(made)
        return
    content = _content(made, form)
    with opened(output) as file:
        file.write(content.encode())
    if output is not None:
        typer.echo(f"written to {printable(str(output))}")


def _content(made: "Diagnosis", form: Form) -> str:
    from gradstudy.study.diagnosis import text_forms

    match form:
        case "html":
            from gradstudy.study.diagnosis.html import html_diagnosis

            return html_diagnosis(made)
        case "markdown":
            return text_forms.to_markdown(made)
        case _:
            return text_forms.to_json(made)
