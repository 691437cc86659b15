"""The map learning rate x threshold, drawn in the terminal."""

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping
    from typing import Any

    from rich.console import RenderableType

    from gradstudy.study.report.report import Report

Mark = tuple[str, str]
"""A character with the space after it, and its colour."""

KEPT, SOME, LOST, EMPTY = ("● ", "green"), ("◐ ", "yellow"), ("✕ ", "red"), ("· ", "dim")
"""No run of a bin diverged, some did, all did, there was none: the shapes differ, not only the colours."""
BINS_A_DECADE = 2


def divergence_map(report: "Report") -> "RenderableType":
    """One row for each strategy and decade of threshold, one mark for each learning-rate bin, cells side by side.

    Where factors are varied, a row is of one choice of them.
    """
    from rich.console import Group
    from rich.text import Text

    from gradstudy.study.report.plain_console import plain_table

    marks, rows = _marks(report)
    positions = [position for *_, position in marks]
    columns = range(min(positions), max(positions) + 1)
    cells = sorted({cell for cell, *_ in marks})
    table = plain_table()
    table.add_column("\nstrategy", no_wrap=True)
    table.add_column("threshold\nfrom", justify="right", no_wrap=True)
    for cell in cells:
        table.add_column(f"{cell.upper()}, lr = 10^\n{_scale(columns)}", no_wrap=True)
    before = None
    for strategy, decade in rows:
        lines = [
            Text.assemble(*(marks.get((cell, strategy, decade, column), EMPTY) for column in columns)) for cell in cells
        ]
        label = "-" if decade is None else f"{10.0**decade:g}"
        table.add_row("" if strategy == before else strategy, label, *lines)
        before = strategy
    key = Text.assemble(KEPT, "none diverged  ", SOME, "some  ", LOST, "all diverged  ", EMPTY, "not tried")
    return Group(table, "", key)


def _marks(report: "Report") -> tuple[dict[tuple[str, str, int | None, int], Mark], list[tuple[str, int | None]]]:
    """The mark of each cell, strategy, decade of threshold and half-decade of learning rate, and the rows in order."""
    marks = {
        (row["cell"], _named(row), _decade(row["threshold_decade"]), _position(row["learning_rate_bin"])): _mark(
            row["diverged"], row["runs"]
        )
        for row in report.bins.to_dict("records")
    }
    order = list(report.study.spec["space"]["strategies"])
    rows = {(strategy, decade) for _, strategy, decade, _ in marks}
    return marks, sorted(rows, key=lambda row: (order.index(row[0].partition(",")[0]), row[0], row[1] or 0))


def _named(row: "Mapping[Hashable, Any]") -> str:
    """The strategy, and the factors where any are varied."""
    return f"{row['strategy']}, {row['factors']}" if "factors" in row else str(row["strategy"])


def _decade(threshold: float) -> int | None:
    return None if math.isnan(threshold) else round(math.log10(threshold))


def _position(learning_rate_bin: float) -> int:
    return round(BINS_A_DECADE * math.log10(learning_rate_bin))


def _scale(positions: range) -> str:
    """The powers of ten of the learning rate, each above the column at which its decade begins."""
    line = ""
    for position in positions:
        if position % BINS_A_DECADE == 0:
            line = line.ljust(2 * (position - positions.start)) + str(position // BINS_A_DECADE)
    return line


def _mark(diverged: int, runs: int) -> Mark:
    if diverged == 0:
        return KEPT
    return LOST if diverged == runs else SOME
