"""The map learning rate x threshold, drawn in the terminal."""

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import RenderableType

    from gradstudy.study.report import Report

KEPT, SOME, LOST, EMPTY = "[green]●[/] ", "[yellow]◐[/] ", "[red]✕[/] ", "[dim]·[/] "
"""No run of a bin diverged, some did, all did, there was none: the shapes differ, not only the colours."""
BINS_A_DECADE = 2


def divergence_map(report: "Report") -> "RenderableType":
    """One row for each strategy and decade of threshold, one mark for each learning-rate bin, cells side by side."""
    from rich.console import Group
    from rich.table import Table

    bins = report.bins.assign(position=report.bins["learning_rate_bin"].map(_position))
    cells = sorted(bins["cell"].unique())
    positions = range(int(bins["position"].min()), int(bins["position"].max()) + 1)
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("\nstrategy", no_wrap=True)
    table.add_column("threshold\nfrom", justify="right", no_wrap=True)
    for cell in cells:
        table.add_column(f"{cell.upper()}, lr = 10^\n{_scale(positions)}", no_wrap=True)
    order = list(report.study.spec["space"]["strategies"])
    for strategy in sorted(bins["strategy"].unique(), key=order.index):
        rows = bins[bins["strategy"] == strategy]
        for number, threshold in enumerate(sorted(rows["threshold_decade"].unique())):
            row = rows[(rows["threshold_decade"] == threshold) | rows["threshold_decade"].isna()]
            marks = ["".join(_mark(row[row["cell"] == cell], position) for position in positions) for cell in cells]
            label = "-" if math.isnan(threshold) else f"{threshold:g}"
            table.add_row(strategy if number == 0 else "", label, *marks)
    legend = f"{KEPT}none diverged  {SOME}some  {LOST}all diverged  {EMPTY}not tried"
    return Group(table, "", legend)


def _position(learning_rate_bin: float) -> int:
    return round(BINS_A_DECADE * math.log10(learning_rate_bin))


def _scale(positions: range) -> str:
    """The powers of ten of the learning rate, each above the column at which its decade begins."""
    line = ""
    for position in positions:
        if position % BINS_A_DECADE == 0:
            line = line.ljust(2 * (position - positions.start)) + str(position // BINS_A_DECADE)
    return line


def _mark(rows: "pd.DataFrame", position: int) -> str:
    here = rows[rows["position"] == position]
    if here.empty:
        return EMPTY
    diverged, runs = int(here["diverged"].sum()), int(here["runs"].sum())
    if diverged == 0:
        return KEPT
    return LOST if diverged == runs else SOME
