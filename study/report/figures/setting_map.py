"""The map of one cell and strategy: learning rate to the right, threshold upwards, how each run ended."""

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from gradstudy.study.report.figures.style import (
    FRONTIER_COLOR,
    OUTCOME_COLOR,
    OUTCOME_SYMBOL,
    figure,
    log_axis,
    plain,
    rounded,
    spread,
)
from gradstudy.study.statistics.grouping import searched_in_words, searched_values
from gradstudy.study.statistics.rates import judged

MOST_RUNS = 300
"""Drawn of one outcome in one map; more would cover each other."""
MANY_RUNS = 60
LARGE, SMALL = 8, 5
"""Of a mark, in pixels: where there are many, smaller ones."""
HALF_DECADE = 10**0.5
LOSS_SCALE = "Viridis"
"""From dark, which is a low loss, to light, as everybody sees it."""


def setting_map(
    trials: pd.DataFrame,
    frontiers: pd.DataFrame,
    learning_rates: tuple[float, float],
    losses: tuple[float, float],
    best: int | None = None,
) -> go.Figure:
    """Draw the runs of one cell and strategy.

    Where the strategy has no threshold, the objective takes its place: min(validation loss, that of the untrained
    model).

    Args:
        trials: rows of ``trial_result``, of one cell, strategy and choice of factors, which are in words.
        frontiers: rows of ``frontier`` of the same.
        learning_rates: the range of the axis, the same for all maps of a report.
        losses: the lowest and the highest loss of the trained runs of a report, the ends of the scale of colours.
        best: the number of the trial to be ringed.
    """
    runs = judged(trials)
    first = runs.iloc[0]
    has_threshold = bool(runs["threshold"].notna().any())
    vertical = "threshold" if has_threshold else "objective"
    made = figure(
        f"{first['cell'].upper()}, {first['strategy']}",
        "learning rate",
        "threshold" if has_threshold else "validation loss",
        showlegend=False,
    )
    if first["factors"]:  # on a line of their own: maps are narrow
        made.update_layout(title_subtitle={"text": plain(first["factors"]), "font": {"size": 11}}, margin_t=56)
    made.update_xaxes(**log_axis(*learning_rates))
    height = _range(runs[vertical])
    made.update_yaxes(log_axis(*height) if has_threshold else {"nticks": 5})
    for outcome, group in runs.groupby("outcome"):
        _add_runs(made, group, vertical, str(outcome), losses)
    _add_frontier(made, frontiers, learning_rates, None if has_threshold else height)
    ringed = runs[runs["number"] == best]
    if len(ringed):
        ring = {"size": 17, "symbol": "circle-open", "color": FRONTIER_COLOR, "line": {"width": 3}}
        made.add_scatter(
            x=ringed["learning_rate"], y=ringed[vertical], mode="markers", marker=ring, name="recommended",
            hoverinfo="skip",
        )  # fmt: skip
    return made


def _colors(runs: pd.DataFrame, outcome: str, losses: tuple[float, float]) -> dict[str, Any]:
    """Of trained runs the colour is the loss, on one scale for all maps of a report; of others the outcome."""
    if outcome != "trained":
        return {"color": OUTCOME_COLOR[outcome]}
    scale = {"colorscale": LOSS_SCALE, "cmin": losses[0], "cmax": losses[1], "showscale": False}
    return {"color": rounded(runs["objective"]), **scale}


def _add_runs(made: go.Figure, runs: pd.DataFrame, vertical: str, outcome: str, losses: tuple[float, float]) -> None:
    drawn = runs.iloc[spread(len(runs), MOST_RUNS)]
    words = [searched_in_words(searched) for searched in searched_values(drawn)]
    searched = [f"<br>{plain(each)}" if each else "" for each in words]
    made.add_scatter(
        x=rounded(drawn["learning_rate"]),
        y=rounded(drawn[vertical]),
        customdata=list(zip(drawn["number"].tolist(), rounded(drawn["objective"]), searched, strict=True)),
        hovertemplate="trial %{customdata[0]}: " + outcome + "<br>learning rate %{x:.3g}<br>" + vertical
        + " %{y:.3g}<br>objective %{customdata[1]}%{customdata[2]}<extra></extra>",
        mode="markers",
        marker={
            **_colors(drawn, outcome, losses),
            "symbol": OUTCOME_SYMBOL[outcome],
            "size": LARGE if len(drawn) < MANY_RUNS else SMALL,
            "line": {"width": 1.5, "color": OUTCOME_COLOR[outcome]} if outcome == "diverged" else {"width": 0.5},
        },
        name=outcome,
    )  # fmt: skip


def _add_frontier(
    made: go.Figure, frontiers: pd.DataFrame, learning_rates: tuple[float, float], whole: tuple[float, float] | None
) -> None:
    """A line at each bin's frontier, over the bin or the whole height, and a band for its interval.

    An end of the interval that lies outside of what was tried is drawn at the border of the map.
    """
    for row in frontiers.dropna(subset=["frontier"]).to_dict("records"):
        low, high = whole or (row["threshold_bin"], row["threshold_bin"] * HALF_DECADE)
        ends = [row["frontier_low"], row["frontier_high"]]
        left, right = (tried if pd.isna(end) else end for tried, end in zip(learning_rates, ends, strict=True))
        made.add_shape(
            type="rect", x0=left, x1=right, y0=low, y1=high,
            fillcolor=FRONTIER_COLOR, opacity=0.12, line_width=0, layer="below",
        )  # fmt: skip
        made.add_scatter(
            x=rounded([row["frontier"]] * 2), y=rounded([low, high]), mode="lines", name="frontier",
            line={"color": FRONTIER_COLOR, "width": 3}, hovertemplate="frontier %{x:.3g}<extra></extra>",
        )  # fmt: skip


def _range(values: "pd.Series[float]") -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    return (low, high) if low < high else (low / HALF_DECADE, high * HALF_DECADE)
