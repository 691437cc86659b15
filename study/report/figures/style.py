"""What the figures have in common: colours that everybody can tell apart, symbols that do not need them."""

from collections.abc import Iterable
from html import escape
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

# Okabe and Ito 2008, https://jfly.uni-koeln.de/color/
BLUE, ORANGE, GREEN, VERMILLION = "#0072b2", "#e69f00", "#009e73", "#d55e00"
SKY, PURPLE, YELLOW, GREY = "#56b4e9", "#cc79a7", "#b39b00", "#7f7f7f"

OUTCOME_COLOR = {"trained": GREEN, "stalled": ORANGE, "diverged": VERMILLION}
OUTCOME_SYMBOL = {"trained": "circle", "stalled": "square-open", "diverged": "x-thin-open"}
OUTCOME_DASH = {"trained": "solid", "stalled": "dot", "diverged": "solid"}
FRONTIER_COLOR = BLUE

SERIES = tuple(
    (color, dash)
    for dash in ("solid", "dash", "dot")
    for color in (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, YELLOW, GREY)
)
"""Colour and dash of the n-th line of a figure."""

HEIGHT = 300
SHORTEST, LONGEST = 1e-4, 1e5
"""Numbers of at most six characters."""


def plain(text: str) -> str:
    """A text as a figure shows it: plotly reads elements, characters by name, formulas in dollars and ``%{fields}``."""
    return escape(text, quote=False).replace("$", "&#36;").replace("{", "&#123;")


def figure(title: str, x_title: str, y_title: str, **layout: Any) -> go.Figure:
    """An empty figure: transparent, so that it stands on a light page and on a dark one."""
    return go.Figure(
        layout={
            "template": "none",
            "title": {"text": plain(title), "font": {"size": 14}, "x": 0.02, "xanchor": "left"},
            "xaxis": {"title": {"text": x_title, "standoff": 8}, "zeroline": False, "automargin": True},
            "yaxis": {"title": {"text": y_title, "standoff": 4}, "zeroline": False, "automargin": True},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "font": {"color": GREY, "size": 12},
            "margin": {"l": 50, "r": 12, "t": 36, "b": 44},
            "height": HEIGHT,
            "hovermode": "closest",
            "legend": {"orientation": "h", "yref": "container", "y": 0.0, "yanchor": "bottom", "x": 0.0},
            **layout,
        }
    )


def log_axis(low: float, high: float) -> dict[str, Any]:
    """A logarithmic axis from ``low`` to ``high`` that labels powers of ten."""
    margin = 0.04 * np.log10(high / low)
    return {"range": [np.log10(low) - margin, np.log10(high) + margin], **log_ticks(low, high)}


def log_ticks(low: float, high: float) -> dict[str, Any]:
    """Labels at powers of ten, as plain numbers while they are short."""
    short = low >= SHORTEST and high <= LONGEST
    return {"type": "log", "dtick": 1, "tickangle": 0, "exponentformat": "none" if short else "power"}


def rounded(values: Iterable[float], digits: int = 4) -> list[float | None]:
    """Numbers short enough for a file, None for those that are missing."""
    return [None if pd.isna(value) else float(f"{value:.{digits}g}") for value in values]


def spread(positions: int, most: int) -> list[int]:
    """At most ``most`` of the positions 0 to n - 1, evenly spread, the first and the last among them."""
    return sorted(set(np.linspace(0, positions - 1, min(most, positions)).round().astype(int).tolist()))
