"""``gradstudy report NAME``: which settings avoid divergence, in the terminal or as a file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gradstudy.scripts.options import Storage
from gradstudy.scripts.printable import printable
from gradstudy.storage.default_storage import DEFAULT_STORAGE

if TYPE_CHECKING:
    from gradstudy.storage.database import Database
    from gradstudy.study.report.comparison import Comparison
    from gradstudy.study.report.report import Report

Form = Literal["terminal", "html", "markdown", "csv", "json", "parquet"]
FILES_ONLY = ("html", "parquet")


def report(
    names: Annotated[
        list[str], typer.Argument(metavar="NAME [OTHER]", help="Name of the study; a second one to compare it with.")
    ],
    storage: Storage = DEFAULT_STORAGE,
    form: Annotated[Form, typer.Option("--format", help="How the report is written.")] = "terminal",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Where to write it.",
            show_default="the terminal; html and parquet: a file",
        ),
    ] = None,
) -> None:
    """Say which settings avoid divergence: the answer, what it rests on, the tables, the map."""
    from gradstudy.scripts.errors import UsageError, require_extra
    from gradstudy.storage.database import Database
    from gradstudy.study.report.report import read_report

    if len(names) > 2:
        raise UsageError(f"a report is of one study, or compares two, but got {len(names)}: {', '.join(names)}")
    if form == "parquet":
        require_extra("parquet", "--format parquet", "pyarrow")
    if form == "terminal" and output is not None:
        raise UsageError(f"--output {output} needs a --format: html, markdown, csv, json or parquet")
    if form in FILES_ONLY and output is None:
        output = Path(f"{'-'.join(names)}.{form}")
    with Database.open(storage) as database:
        reports = [read_report(database, name) for name in names]
        _write(database, reports[0] if len(reports) == 1 else _compared(*reports), form, output)


def _compared(a: "Report", b: "Report") -> "Comparison":
    from gradstudy.study.report.comparison import Comparison

    return Comparison(a, b)


def _write(database: "Database", made: "Report | Comparison", form: Form, output: Path | None) -> None:
    from gradstudy.scripts.output.output_file import opened

    if form == "terminal":
        from gradstudy.study.report.terminal import print_report

        print_report(made)
        return
    content = _content(database, made, form)
    with opened(output) as file:
        file.write(content)
    if output is not None:
        typer.echo(f"written to {printable(str(output))}")


def _content(database: "Database", made: "Report | Comparison", form: Form) -> bytes:
    from io import BytesIO

    from gradstudy.study.report import text_forms as export
    from gradstudy.study.report.report import Report

    match form:
        case "html":
            from gradstudy.study.report.html import html_comparison, html_report, read_drawn_steps

            if isinstance(made, Report):
                return html_report(made, read_drawn_steps(database, made)).encode()
            return html_comparison(made).encode()
        case "markdown":
            return export.to_markdown(made).encode()
        case "json":
            return export.to_json(made).encode()
        case "csv":
            return export.stacked_tables(made).to_csv(index=False).encode()
        case _:
            file = BytesIO()
            export.write_parquet(made, file)
            return file.getvalue()
