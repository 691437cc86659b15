"""The tables of a report in the terminal, narrow enough for 80 columns."""

from typing import TYPE_CHECKING, Any

from rich.table import Table

from gradstudy.study.report.plain_console import plain_table
from gradstudy.study.report.tables import number, percent, text_table

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    import pandas as pd

GAP = 1
"""Spaces between the columns of a table, so that it fits 80."""

HEADINGS = (
    "diverged\n/ runs",
    "rate, 95%\ninterval",
    "frontier of\nthe lr",
    "usable\ndecades",
    "best\nloss",
    "updates\nclipped",
)
COMPARED = ("A: rate", "B: rate", "B less A, 95%\ninterval", "A: best\nloss", "B: best\nloss")


def settings_table(rows: "pd.DataFrame") -> Table:
    """The settings of a grid, see ``by_setting``."""
    words = [column for column in ("cell", "strategy", "factors") if column in rows]
    table = plain_table(GAP)
    for heading in words:
        table.add_column(heading, no_wrap=True)
    for heading in ("threshold", "lr", "diverged\n/ runs", "rate, 95%\ninterval", "mean loss", "loss below\nnone's"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows.to_dict("records"):
        table.add_row(
            *(row[column] for column in words),
            number(row["threshold"]),
            number(row["learning_rate"]),
            *_rate(row),
            _plus_minus(row["loss"], row["loss_away"], 4),
            _plus_minus(row["less_loss"], row["less_loss_away"], 2),
        )
    return table


def horizons_table(rows: "pd.DataFrame") -> Table:
    """Each setting at each number of steps, see ``horizon_table``."""
    words = ["cell", "strategy", *(["factors"] if (rows["factors"] != "").any() else [])]
    table = plain_table(GAP)
    table.add_column("steps", justify="right", no_wrap=True)
    for heading in words:
        table.add_column(heading, no_wrap=True)
    for heading in ("threshold", "lr", "diverged\n/ runs", "mean loss", ""):
        table.add_column(heading, justify="left" if not heading else "right", no_wrap=True)
    for row in rows.to_dict("records"):
        table.add_row(
            f"{row['steps']:,}",
            *(row[column] for column in words),
            number(row["threshold"]),
            number(row["learning_rate"]),
            f"{row['diverged']}/{row['runs']}",
            number(row["loss"]),
            "the answer" if row["is_answer"] else "",
        )
    return table


def strategies_table(rows: "pd.DataFrame") -> Table:
    """Each strategy, see ``Report.strategies``."""
    table = _table(HEADINGS)
    for row in rows.to_dict("records"):
        table.add_row(
            row["cell"],
            row["strategy"],
            *_rate(row),
            _frontiers(row["frontier_lowest"], row["frontier_highest"]),
            _decades(row),
            number(row["expected_loss"]),
            percent(row["clipped_fraction"]),
        )
    return table


def metrics_table(rows: "pd.DataFrame") -> Table:
    """See ``Appraisal.metrics``."""
    text = text_table("metrics", "", "", rows)
    table = plain_table(GAP)
    for heading, is_number in zip(text.headings, text.numeric, strict=True):
        table.add_column(heading, justify="right" if is_number else "left")
    for row in text.rows:
        table.add_row(*(shown for shown, _ in row))
    return table


def by_factor_table(rows: "pd.DataFrame") -> Table:
    """See ``frontier_by_factor``."""
    table = plain_table(GAP)
    words = ["factor", "value", *(["beside"] if (rows["beside"] != "").any() else []), "cell", "strategy"]
    for heading in words:
        table.add_column(heading.replace("beside", "at"), no_wrap=True)
    for heading in ("threshold\nfrom", "frontier of\nthe lr", "95% interval"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows.to_dict("records"):
        known = row["frontier"] == row["frontier"]
        table.add_row(
            *(row[column].replace("_", " ") for column in words),
            number(row["threshold_bin"]),
            number(row["frontier"]) if known else row["status"],
            f"{number(row['frontier_low'])} to {number(row['frontier_high'])}" if known else "",
        )
    return table


def factors_table(rows: "pd.DataFrame") -> Table:
    """See ``divergence_by_factor``."""
    table = plain_table(GAP)
    for heading in ("factor", "value"):
        table.add_column(heading, no_wrap=True)
    for heading in ("diverged / runs", "rate, 95% interval", "updates clipped"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows.to_dict("records"):
        table.add_row(
            row["factor"].replace("_", " "),
            row["value"],
            *_rate(row),
            percent(row["clipped_fraction"]),
        )
    return table


def compared_table(rows: "pd.DataFrame") -> Table:
    """See ``Comparison.table``."""
    table = _table(COMPARED)
    for row in rows.to_dict("records"):
        interval = (
            f"{percent(row['difference'])}, {percent(row['difference_low'])} to {percent(row['difference_high'])}"
        )
        table.add_row(
            row["cell"],
            row["strategy"],
            percent(row["rate_a"]),
            percent(row["rate_b"]),
            interval if row["difference"] == row["difference"] else "–",
            number(row["best_validation_loss_a"]),
            number(row["best_validation_loss_b"]),
        )
    return table


def _plus_minus(value: float, away: float, digits: int) -> str:
    return number(value) if away != away else f"{value:.{digits}g} ± {away:.2g}"


def _decades(row: "Mapping[Hashable, Any]") -> str:
    """How many decades of learning rate are about as good as the best one, with the interval."""
    if row["usable_decades"] != row["usable_decades"]:
        return "–"
    return f"{row['usable_decades']:.1f}, {row['usable_low']:.1f}-{row['usable_high']:.1f}"


def _rate(row: "Mapping[Hashable, Any]") -> tuple[str, str]:
    """How many runs diverged, and their share with its interval."""
    share = f"{row['rate']:.0%}, {100 * row['rate_low']:.0f}-{row['rate_high']:.0%}"
    return f"{row['diverged']}/{row['runs']}", share


def _frontiers(lowest: float, highest: float) -> str:
    if lowest != lowest:
        return "–"
    return number(lowest) if number(lowest) == number(highest) else f"{lowest:.2g} to {highest:.2g}"


def _table(headings: tuple[str, ...]) -> Table:
    table = plain_table(GAP)
    table.add_column("cell\n", no_wrap=True)
    table.add_column("strategy\n", no_wrap=True)
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    return table
