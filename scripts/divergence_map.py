"""The map learning rate x threshold, drawn in the terminal."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import RenderableType

    from gradstudy.study.report import Report

KEPT, SOME, LOST = "[green]●[/]", "[yellow]◐[/]", "[red]✕[/]"
"""No run of a bin diverged, some did, all did: the shapes differ, not only the colours."""


def divergence_map(report: "Report") -> "RenderableType":
    """One row for each strategy and decade of threshold, one column for each learning-rate bin, cells side by side."""
    from rich.console import Group
    from rich.table import Table

    bins = report.bins
    cells = sorted(bins["cell"].unique())
    learning_rates = sorted(bins["learning_rate_bin"].unique())
    table = Table(box=None, header_style="bold", padding=(0, 1, 0, 0))
    table.add_column("strategy\n")
    table.add_column("threshold\nfrom", justify="right")
    for cell in cells:
        for number, learning_rate in enumerate(learning_rates):
            heading = f"{cell.upper() if number == 0 else ''}\n{_short(learning_rate)}"
            table.add_column(heading, justify="center", no_wrap=True)
        table.add_column("\n", width=1)
    order = list(report.study.spec["space"]["strategies"])
    for strategy in sorted(bins["strategy"].unique(), key=order.index):
        rows = bins[bins["strategy"] == strategy]
        for number, threshold in enumerate(sorted(rows["threshold_decade"].unique())):
            row = rows[(rows["threshold_decade"] == threshold) | rows["threshold_decade"].isna()]
            marks: list[str] = []
            for cell in cells:
                of_cell = row[row["cell"] == cell].set_index("learning_rate_bin")
                marks += [_mark(of_cell, learning_rate) for learning_rate in learning_rates] + [""]
            table.add_row(strategy if number == 0 else "", "-" if threshold != threshold else _short(threshold), *marks)
    legend = (
        f"{KEPT} none diverged  {SOME} some  {LOST} all; learning rates by half decades, thresholds by decades, "
        "from their lower edge"
    )
    return Group(table, "", legend)


def _mark(row: "pd.DataFrame", learning_rate: float) -> str:
    if learning_rate not in row.index:
        return "[dim]·[/]"
    entry: Any = row.loc[learning_rate]
    if entry["diverged"] == 0:
        return KEPT
    return LOST if entry["diverged"] == entry["runs"] else SOME


def _short(value: float) -> str:
    """A bin's edge in at most four characters."""
    return f"{value:.1g}" if value < 1 else f"{value:.2g}"
