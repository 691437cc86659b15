"""A diagnosis in the terminal, the verdict first."""

from typing import TYPE_CHECKING

from rich.panel import Panel
from rich.syntax import Syntax
from rich.text import Text

from gradstudy.study.diagnosis import sentences
from gradstudy.study.diagnosis.remedies import remedies
from gradstudy.study.diagnosis.table import runs_table
from gradstudy.study.report.plain_console import plain_console, plain_table

if TYPE_CHECKING:
    from rich.console import Console

    from gradstudy.study.diagnosis.diagnose import Diagnosis
    from gradstudy.study.diagnosis.run_diagnosis import RunDiagnosis

MOST_IN_FULL = 10
"""Runs that are shown with all that is known of them, those that diverged first."""
STYLES = {"trained": "green", "stalled": "yellow", "diverged": "red", "failed": "red"}
SHOWN_COLUMNS = (0, 1, 2, 3, 4, 6, 8)
"""Of the table of runs, so that it fits 80 columns."""


def print_diagnosis(diagnosis: "Diagnosis") -> None:
    """Print what happened and what to try."""
    console = plain_console()
    ordered = sorted(diagnosis.runs, key=lambda run: not run.is_bad)
    if len(ordered) > 1:
        _print_table(diagnosis, console)
    for line in sentences.shared(diagnosis):
        console.print(Text(f"\n{line}", style="bold"))
    for run in ordered[:MOST_IN_FULL]:
        _print_run(diagnosis, run, console)
    left = len(ordered) - MOST_IN_FULL
    if left > 0:
        console.print(Text(f"\n{left:,} more in --format html, markdown or json"))
    if diagnosis.without_loss:
        console.print(Text(f"\nWithout a loss: {', '.join(diagnosis.without_loss)}"))


def _print_table(diagnosis: "Diagnosis", console: "Console") -> None:
    made = runs_table(diagnosis)
    table = plain_table(gap=1)
    for place in SHOWN_COLUMNS:
        heading = made.headings[place].replace(" ", "\n") if place else made.headings[place]
        table.add_column(heading, justify="right" if made.numeric[place] else "left", overflow="fold")
    for row in made.rows:
        texts = [row[place][0] for place in SHOWN_COLUMNS]
        table.add_row(texts[0], Text(texts[1], style=STYLES[texts[1]]), *texts[2:])
    console.print(table)


def _print_run(diagnosis: "Diagnosis", run: "RunDiagnosis", console: "Console") -> None:
    text = Text(sentences.verdict(run), style="bold")
    for line in sentences.facts(run):
        text.append(f"\n{line}", style="not bold")
    console.print()
    console.print(Panel(text, title=Text(run.name), title_align="left", border_style=STYLES[run.judged.outcome]))
    tries = remedies(run, is_shared=run.judged.first_bad in diagnosis.shared_steps)
    if tries:
        console.print(Text("\nWhat to try, in this order", style="bold"))
    for place, remedy in enumerate(tries, 1):
        console.print(Text.assemble(f"{place}. ", (remedy.what, "bold"), f": {remedy.why}."))
        if remedy.code:
            lexer = "bash" if remedy.code.startswith("gradstudy") else "python"
            code = Syntax("", lexer, background_color="default").highlight(remedy.code)
            console.print(
                Text("\n").join(Text("   ") + line for line in code.split("\n") if line.plain), soft_wrap=True
            )
