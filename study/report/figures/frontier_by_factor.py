"""The frontier of one cell by a number that is varied, one line for each strategy."""

from itertools import cycle
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from gradstudy.study.frontier.table import ABOVE, BELOW
from gradstudy.study.report.figures.style import SERIES, figure, plain, rounded
from gradstudy.study.report.tables import number

LOG_FROM = 100.0
"""How many times the smallest value the largest one is, at least, for a logarithmic axis."""
MARGIN = 1.3
"""By which the axis of the frontiers is longer than what is drawn, on both sides."""
FINE, COARSE = 1.2, 3.0
"""Decades of it below which there are more labels than powers of ten."""
APART = 0.012
"""By how much of the axis the lines are moved apart, so that their intervals do not cover each other."""


def frontier_by_factor_figure(table: pd.DataFrame, cell: str, factor: str) -> go.Figure:
    """Draw the frontiers of one cell by one factor.

    An arrow stands where the frontier is beyond the learning rates tried.

    Args:
        table: rows of ``frontier_by_factor``.
        cell: lstm or gru.
        factor: of those that are varied.
    """
    rows = table[(table["cell"] == cell) & (table["factor"] == factor)]
    rows = rows.assign(x=rows["value"].astype(float))
    named = factor.replace("_", " ")
    made = figure(f"{cell.upper()}, by {named}", named, "frontier: learning rate", height=400)
    made.update_yaxes(**_axis(rows))
    ticks = sorted(set(rows["x"]))
    is_log = ticks[0] > 0 and ticks[-1] >= LOG_FROM * ticks[0]
    made.update_xaxes(
        type="log" if is_log else "linear", tickvals=ticks, ticktext=[f"{tick:g}" for tick in ticks], tickangle=0
    )
    lines = list(rows.groupby(["strategy", "beside"], sort=True))
    for place, ((color, dash), (key, line)) in enumerate(zip(cycle(SERIES), lines, strict=False)):
        moved = APART * (place - (len(lines) - 1) / 2)
        x = line["x"] * 10**moved if is_log else line["x"] + moved * (ticks[-1] - ticks[0])
        made.add_scatter(**_line(line, rounded(x), _label(line, str(key[1])), color, dash))
    return made


def _axis(rows: pd.DataFrame) -> dict[str, Any]:
    """A logarithmic axis over what is drawn, with labels also within one decade."""
    seen = pd.concat([rows[name] for name in ("frontier", "frontier_low", "frontier_high")])
    beyond = [rows.loc[rows["status"] == ABOVE, "highest_learning_rate"],
              rows.loc[rows["status"] == BELOW, "lowest_learning_rate"]]  # fmt: skip
    seen = pd.concat([seen, *beyond]).dropna()
    low, high = float(seen.min()) / MARGIN, float(seen.max()) * MARGIN
    decades = np.log10(high / low)
    digits = (1, 1.5, 2, 3, 5, 7) if decades < FINE else (1, 2, 5) if decades < COARSE else (1,)
    powers = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    ticks = [float(f"{digit * 10.0**power:.3g}") for power in powers for digit in digits]
    return {
        "type": "log", "range": [np.log10(low), np.log10(high)], "tickangle": 0,
        "tickvals": ticks, "ticktext": [number(tick) for tick in ticks],
    }  # fmt: skip


def _line(line: pd.DataFrame, x: list[float | None], label: str, color: str, dash: str) -> dict[str, Any]:
    above, below = line["status"] == ABOVE, line["status"] == BELOW
    middle = line["frontier"]
    drawn = middle.mask(above, line["highest_learning_rate"]).mask(below, line["lowest_learning_rate"])
    symbols = ["triangle-up-open" if up else "triangle-down-open" if down else "circle"
               for up, down in zip(above, below, strict=True)]  # fmt: skip
    intervals = [
        f"{number(low)} to {number(high)}"
        for low, high in zip(line["frontier_low"], line["frontier_high"], strict=True)
    ]
    return {
        "x": x, "y": rounded(drawn), "mode": "lines+markers", "name": label,
        "line": {"color": color, "dash": dash, "width": 2},
        "marker": {"color": color, "symbol": symbols, "size": 9},
        "error_y": {
            "type": "data", "symmetric": False, "color": color, "thickness": 1.2, "width": 3,
            "array": rounded((line["frontier_high"].fillna(line["highest_learning_rate"]) - middle).fillna(0.0)),
            "arrayminus": rounded((middle - line["frontier_low"].fillna(line["lowest_learning_rate"])).fillna(0.0)),
        },
        "customdata": list(zip(line["value"], line["status"], intervals, strict=True)),
        "hovertemplate": "%{customdata[0]}: %{y:.3g}, %{customdata[1]}<br>95% interval %{customdata[2]}<extra>"
        + label + "</extra>",
    }  # fmt: skip


def _label(line: pd.DataFrame, beside: str) -> str:
    first = line.iloc[0]
    threshold = "" if pd.isna(first["threshold_bin"]) else f" from {first['threshold_bin']:.2g}"
    return plain(f"{first['strategy']}{threshold}" + (f", {beside}" if beside else ""))
