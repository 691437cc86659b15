"""``gradstudy report NAME``: which settings avoid divergence, in the terminal or as a file."""

from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gradstudy.scripts.given_options import refuse_idle
from gradstudy.scripts.options import Storage
from gradstudy.scripts.printable import printable
from gradstudy.scripts.server_options import takes_server
from gradstudy.storage.default_storage import DEFAULT_STORAGE

if TYPE_CHECKING:
    from collections.abc import Callable

    from gradstudy.scripts.client import Client
    from gradstudy.study.opened_study import OpenStudy
    from gradstudy.study.report.comparison import Comparison
    from gradstudy.study.report.report import Report

InOne = Literal["terminal", "html", "markdown", "csv", "json", "parquet"]
OfRuns = Literal["mlflow", "tensorboard", "wandb"]
Form = Literal[InOne, OfRuns]
Failures = Literal["diverged", "failed"]
FILES_ONLY = ("html", "parquet")


@takes_server
def report(
    context: typer.Context,
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
            help="Where to write it; of mlflow, tensorboard and wandb a folder.",
            show_default="the terminal; html and parquet: a file; what is a folder: NAME-FORMAT",
        ),
    ] = None,
    axis: Annotated[
        list[str] | None,
        typer.Option(
            "--axis",
            metavar="WHAT=NAME",
            help="Of a plain Optuna study: the parameter that is learning_rate, threshold, strategy or cell.",
            show_default="by their names",
        ),
    ] = None,
    objective: Annotated[
        str | None,
        typer.Option(
            metavar="N",
            help="Of a plain Optuna study: which of several objectives, from 0, or its name.",
            show_default="the first that is called a loss",
        ),
    ] = None,
    untrained: Annotated[
        float | None,
        typer.Option(
            metavar="LOSS",
            help="Of a plain Optuna study: the objective of the untrained model.",
            show_default="not known",
        ),
    ] = None,
    failures: Annotated[
        Failures | None,
        typer.Option(
            help="Of a plain Optuna study: what trials are that failed and left no value.",
            show_default="diverged where their learning rates are high",
        ),
    ] = None,
    *,
    client: "Client | None",
) -> None:
    """Say which settings avoid divergence: the answer, what it rests on, the tables, the map."""
    from gradstudy.scripts.errors import UsageError, require_extra

    if client is not None:
        reason = "with --server, which reads a plain study as its names say"
        refuse_idle(context, "axis", "objective", "untrained", "failures", reason=reason)
    if len(names) > 2:
        raise UsageError(f"a report is of one study, or compares two, but got {len(names)}: {', '.join(names)}")
    if form == "parquet":
        require_extra("parquet", "--format parquet", "pyarrow")
    if form == "terminal" and output is not None:
        raise UsageError(
            f"--output {output} needs a --format: html, markdown, csv, json, parquet, mlflow, tensorboard or wandb"
        )
    if form in FILES_ONLY and output is None:
        output = Path(f"{'-'.join(names)}.{form}")
    if client is not None:
        _write_theirs(client, names, form, output)
        return
    from threadpoolctl import threadpool_limits

    from gradstudy.study.opened_study import open_study

    # The matrices of a report are small: threads would wait for each other longer than they compute.
    threadpool_limits(1, user_api="blas")
    open_one = partial(
        open_study,
        storage=storage,
        axes=_pairs(axis or []),
        objective=objective,
        untrained=untrained,
        failures=failures,
    )
    if form == "mlflow" or form == "tensorboard" or form == "wandb":
        _export(open_one, names, form, output)
        return
    with ExitStack() as stack:
        studies = [stack.enter_context(open_one(name)) for name in names]
        reports = [study.summary() for study in studies]
        _write(studies[0], reports[0] if len(reports) == 1 else _compared(*reports), form, output)


def _export(open_one: "Callable[[str], OpenStudy]", names: list[str], form: OfRuns, output: Path | None) -> None:
    """Write the trials of a study as runs of another program."""
    from gradstudy.scripts.errors import UsageError
    from gradstudy.scripts.output.exports import check_export, export

    if len(names) > 1:
        raise UsageError(f"--format {form} writes the trials of one study, but got {len(names)}: {', '.join(names)}")
    folder = output or Path(f"{names[0]}-{form}")
    check_export(form, folder)
    with open_one(names[0]) as study:
        export(study, study.summary(), form, folder)


def _pairs(given: list[str]) -> dict[str, str]:
    """``learning_rate=lr`` as what it says."""
    from gradstudy.scripts.errors import UsageError

    pairs = [text.partition("=") for text in given]
    for text, (what, sign, name) in zip(given, pairs, strict=True):
        if not (what and sign and name):
            raise UsageError(f"--axis takes WHAT=NAME, such as learning_rate=lr, but got {text!r}")
    return {what: name for what, _, name in pairs}


def _compared(a: "Report", b: "Report") -> "Comparison":
    from gradstudy.scripts.errors import UsageError
    from gradstudy.study.report.comparison import Comparison
    from gradstudy.study.spec.plain import is_plain

    for report in (a, b):
        if is_plain(report.study.spec):
            raise UsageError(
                f"only studies that gradstudy launched can be compared, but {report.study.name!r} is of another program"
            )
    return Comparison(a, b)


def _write(study: "OpenStudy", made: "Report | Comparison", form: InOne, output: Path | None) -> None:
    from gradstudy.scripts.output.report_content import report_content

    if form == "terminal":
        from gradstudy.study.report.terminal import print_report

        print_report(made)
        return
    _put(report_content(study, made, form), output)


def _write_theirs(client: "Client", names: list[str], form: Form, output: Path | None) -> None:
    from gradstudy.scripts.errors import UsageError
    from gradstudy.study.report.plain_console import plain_console

    if len(names) > 1 or form not in ("terminal", "html", "markdown", "csv", "json"):
        what = "a comparison" if len(names) > 1 else "Parquet" if form == "parquet" else form
        raise UsageError(f"a server gives no report as {what}; with --storage URL it is made here")
    width = plain_console().width
    _put(client.written_report(names[0], "text" if form == "terminal" else form, width), output)


def _put(content: bytes, output: Path | None) -> None:
    from gradstudy.scripts.output.output_file import opened

    with opened(output) as file:
        file.write(content)
    if output is not None:
        typer.echo(f"written to {printable(str(output))}")
