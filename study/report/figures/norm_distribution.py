"""The distribution of gradient norms before clipping, with the threshold that it suggests."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from gradstudy.study.report.figures.style import FRONTIER_COLOR, OUTCOME_COLOR, OUTCOME_DASH, figure, log_ticks, rounded

BINS_A_DECADE = 10
FEWEST_DECADES, MOST_DECADES = 1.0, 8.0
"""Of the axis: norms on the way to infinity are gathered in the last bin."""


def norm_distribution(steps: pd.DataFrame, cell: str, suggested: float | None) -> go.Figure:
    """Draw the shares of steps with each norm, of one cell, runs that trained and runs that diverged.

    Args:
        steps: rows of ``step_result``.
        cell: such as lstm or gru.
        suggested: the threshold to try first; None where no run trained.
    """
    made = figure(cell.upper(), "gradient norm before clipping", "share of steps")
    norms = steps[(steps["cell"] == cell) & (steps["grad_norm"] > 0)]
    if norms.empty:
        return made
    decades = np.log10(norms["grad_norm"])
    low = np.floor(BINS_A_DECADE * decades.min()) / BINS_A_DECADE
    high = min(max(decades.max(), low + FEWEST_DECADES), low + MOST_DECADES)
    edges = np.arange(low, high + 1 / BINS_A_DECADE, 1 / BINS_A_DECADE)
    highest = 0.0
    for outcome in ("trained", "stalled", "diverged"):
        group = decades[norms["outcome"] == outcome]
        if len(group):
            counts, _ = np.histogram(group.clip(edges[0], edges[-1]), edges)
            highest = max(highest, counts.max() / len(group))
            made.add_scatter(
                x=rounded(10 ** ((edges[:-1] + edges[1:]) / 2)), y=rounded(counts / len(group)), name=outcome,
                mode="lines", line={"shape": "hvh", "color": OUTCOME_COLOR[outcome], "dash": OUTCOME_DASH[outcome]},
                hovertemplate="norm %{x:.3g}: %{y:.1%} of steps<extra>" + outcome + "</extra>",
            )  # fmt: skip
    made.update_xaxes(**log_ticks(10**low, 10**high))
    made.update_yaxes(tickformat=".0%", rangemode="tozero")
    if suggested:
        made.add_scatter(
            x=[suggested] * 2, y=[0, highest], mode="lines", name=f"suggested threshold {suggested:.3g}",
            line={"color": FRONTIER_COLOR, "width": 2, "dash": "dash"}, hoverinfo="skip",
        )  # fmt: skip
    return made
