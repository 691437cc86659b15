"""The share of runs that have not diverged, over the steps."""

from itertools import cycle

import pandas as pd
import plotly.graph_objects as go

from gradstudy.study.report.figures.style import SERIES, figure, rounded, spread

POINTS = 150
"""Of a curve, each an event; a curve of a large study has one at nearly every step."""


def survival_curves(table: pd.DataFrame, title: str, steps: int) -> go.Figure:
    """Draw the curves of one cell, and one choice of factors, one for each strategy.

    Args:
        table: rows of ``survival``.
        title: cell and factors.
        steps: of a full trial.
    """
    made = figure(title, "step", "not diverged yet", height=400)
    made.update_xaxes(range=[0, steps * 1.02])
    made.update_yaxes(range=[0, 1.03], tickformat=".0%")
    for (color, dash), (strategy, curve) in zip(cycle(SERIES), table.groupby("strategy"), strict=False):
        drawn = curve.iloc[spread(len(curve), POINTS)]
        made.add_scatter(
            x=[0, *drawn["step"].tolist(), steps],
            y=[1.0, *rounded(drawn["surviving"]), float(drawn["surviving"].iloc[-1])],
            mode="lines",
            line={"shape": "hv", "color": color, "dash": dash, "width": 2},
            name=str(strategy),
            hovertemplate="step %{x}: %{y:.0%} not diverged<extra>" + str(strategy) + "</extra>",
        )
    return made
