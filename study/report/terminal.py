"""A report in the terminal, the answer first."""

from typing import TYPE_CHECKING, Any

from rich.highlighter import ReprHighlighter
from rich.panel import Panel
from rich.syntax import Syntax
from rich.text import Text

from gradstudy.study.report import sentences
from gradstudy.study.report.plain_console import plain_console
from gradstudy.study.report.report import Report
from gradstudy.study.report.terminal_map import divergence_map
from gradstudy.study.report.terminal_tables import (
    by_factor_table,
    compared_table,
    factors_table,
    horizons_table,
    metrics_table,
    settings_table,
    strategies_table,
)

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping

    import pandas as pd
    from rich.console import Console

    from gradstudy.study.report.comparison import Comparison

MOST_SETTINGS = 20
"""Of a grid that are printed."""


def print_report(made: "Report | Comparison", console: "Console | None" = None) -> None:
    """Print the report of a study, or of two side by side, on standard output where no console is given."""
    console = console or plain_console()
    if not isinstance(made, Report):
        _print_comparison(made, console)
        return
    _print_answer(made, console)
    _print_list(console, "The literature", made.verdicts)
    print_settings(made, console)
    if made.at_horizon is not None:
        heading = f"By the runs of {made.at_horizon.short:,} steps: {sentences.of_short_runs(made)}"
        _print_list(console, heading, sentences.evidence_of_short_runs(made))
    if not made.horizons.empty:
        _print_heading(console, "Longer training", "(mean loss: a diverged run counts as untrained)")
        console.print(horizons_table(made.horizons))
    _print_list(console, "A larger model", made.larger)
    _print_list(console, "What to know before trusting this", made.caveats)
    if made.strategies.empty:
        return
    _print_heading(
        console,
        "Each strategy",
        "(over the whole ranges of learning rate and threshold; frontier: where 10% diverge, by threshold; –: outside "
        "of what was tried; usable decades: of learning rate, within 2% of the untrained loss of the best one, "
        "with the 95% interval; best loss: to be expected of the best setting)",
    )
    for factors, rows in _by_factors(made.strategies):
        console.print(*factors, strategies_table(rows), sep="\n")
    if not made.metrics.empty:
        _print_heading(
            console, "Beside the loss", "(your own metric, of the best setting of each strategy: means of kept runs)"
        )
        console.print(metrics_table(made.metrics))
    if not made.factors.empty:
        _print_heading(console, "Each value of what is varied", "(over everything else)")
        console.print(factors_table(made.factors))
    if not made.frontiers_by_factor.empty:
        _print_heading(
            console,
            "Frontier by what is varied",
            "(learning rate at which 10% diverge, with the 95% interval; by threshold: where most runs are)",
        )
        console.print(by_factor_table(made.frontiers_by_factor))
    _print_heading(console, "Where it diverged", "(learning rate to the right, threshold downwards)")
    console.print(divergence_map(made))
    _print_details(made, console)


def print_settings(made: Report, console: "Console") -> None:
    """Print how the settings of a grid fared, and what clipping does."""
    if made.settings.empty:
        return
    _print_list(console, "What clipping does", made.effects)
    rows = made.settings.head(MOST_SETTINGS)
    left = len(made.settings) - len(rows)
    more = f"; {left} more in --format html or csv" if left else ""
    _print_heading(
        console, "Each setting", f"(mean loss with its 95% interval: a diverged run counts as untrained{more})"
    )
    console.print(settings_table(rows))


def _print_answer(made: Report, console: "Console") -> None:
    title = f"Study {made.study.name}"
    console.print(_bold(title, f": {sentences.title(made)}\n{sentences.progress(made)}\n"))
    text = Text(sentences.setting(made), style="bold" if sentences.code(made) else "")
    for line in sentences.evidence(made):
        text.append(f"\n{line}", style="not bold")
    if made.follow_up:
        text.append(f"\nNext: {made.follow_up.reason}\n{made.follow_up.command}", style="not bold")
        if made.follow_up.spec:
            where = f"that file is in: gradstudy report {made.study.name} --format markdown"
            text.append(f" ({where})", style="not bold")
    console.print(Panel(text, title=sentences.kind(made), title_align="left"))
    if (pytorch := sentences.code(made)) is not None:
        console.print()
        # Code that can be pasted: without a frame, and with its lines as they are.
        console.print(Syntax("", "python", background_color="default").highlight(pytorch), soft_wrap=True, end="")


def _print_details(made: Report, console: "Console") -> None:
    importance = [
        f"{row['factor'].replace('_', ' ')} {row['importance']:.0%} "
        f"({row['importance_low']:.0%} to {row['importance_high']:.0%})"
        for row in made.importance.to_dict("records")
    ]
    if importance:
        said = f"  (uncertainty taken away): {', '.join(importance)}"
        console.print(_bold("\nWhat decides about divergence", said))
    suggested = [
        f"{row['cell'].upper()}{', ' + row['factors'] + ':' if 'factors' in row else ''} {row['threshold']:.3g}"
        f"{_checked(row)}"
        for row in made.suggested.to_dict("records")
    ]
    if suggested:
        said = f"  (90th percentile of norms): {', '.join(suggested)}"
        console.print(_bold("First threshold to try with norm", said))


def _checked(row: "Mapping[Hashable, Any]") -> str:
    """What runs that used a threshold say of it."""
    return (
        f" (clips {row['clipped_fraction']:.0%} of the updates in use)"
        if row["checked_by"]
        else " (not used by any run)"
    )


def _print_comparison(made: "Comparison", console: "Console") -> None:
    for letter, report in zip("AB", made.reports, strict=True):
        console.print(_bold(letter, "  "), end="")
        _print_answer(report, console)
        console.print()
    differing = [f"{field}: {a} -> {b}" for field, a, b in made.spec_differences]
    _print_list(console, "What differs", differing or ["nothing but name and seed"])
    _print_list(console, "What to know before trusting this", made.caveats)
    console.print()
    for factors, rows in _by_factors(made.table):
        console.print(*factors, compared_table(rows), sep="\n")


def _by_factors(rows: "pd.DataFrame") -> "Iterator[tuple[list[Text], pd.DataFrame]]":
    """The rows of each choice of factors with their heading; all rows without one where none are varied."""
    if "factors" not in rows:
        yield [], rows
        return
    for factors, group in rows.groupby("factors"):
        yield [Text(str(factors) or "nothing varied", style="italic")], group


def _print_list(console: "Console", heading: str, lines: list[str]) -> None:
    if lines:
        console.print(_bold(f"\n{heading}", ""))
        for line in lines:
            console.print(Text(f"- {line}"))


def _print_heading(console: "Console", heading: str, explained: str) -> None:
    console.print(_bold(f"\n{heading}", f"  {explained}\n"))


def _bold(heading: str, text: str) -> Text:
    """A heading with the text that follows it, whose numbers are highlighted as everywhere in a terminal."""
    return Text.assemble((heading, "bold"), ReprHighlighter()(text))
