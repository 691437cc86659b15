"""Training losses over the steps, with a mark where a run diverged."""

import pandas as pd
import plotly.graph_objects as go

from gradstudy.study.report.figures.style import (
    GREY,
    OUTCOME_COLOR,
    OUTCOME_DASH,
    VERMILLION,
    figure,
    plain,
    rounded,
    spread,
)
from gradstudy.study.spec.factors import described
from gradstudy.study.spec.parts import ALL, KeptSteps, kept_every
from gradstudy.study.statistics.grouping import searched_in_words
from gradstudy.study.statistics.rates import judged

RUNS_OF_A_KIND = 10
"""Curves of one cell and outcome; more cannot be told apart."""
POINTS = 150
"""Of a curve: more than a phone has pixels for half of its width."""

CEILING = 20.0
"""Times the loss of the untrained model; higher losses are drawn there, and leave room for those that learn."""

FLOOR = 1e-9
"""Of the loss of the untrained model; lower losses are drawn there: a browser cannot draw the ticks of 300 decades."""

FEW_DECADES = 10.0
"""From the lowest to the highest loss: below that, labels at 1, 2 and 5 are too few."""


def drawn_trials(trials: pd.DataFrame) -> pd.DataFrame:
    """The trials whose steps are drawn: of each cell and outcome some, spread over the learning rates."""
    runs = judged(trials).sort_values("learning_rate")
    parts = [group.iloc[spread(len(group), RUNS_OF_A_KIND)] for _, group in runs.groupby(["cell", "outcome"])]
    return pd.concat(parts).sort_values("number") if parts else runs


def every_nth(steps: int, keep: KeptSteps = ALL, points: int = POINTS) -> int:
    """Of how many steps one is drawn.

    Args:
        steps: of the longest trial.
        keep: which of them are kept.
        points: that a curve may have.
    """
    kept = kept_every(keep, steps)
    return kept * max(1, steps // kept // points)


def loss_curves(trials: pd.DataFrame, steps: pd.DataFrame, cell: str) -> go.Figure:
    """Draw the curves of one cell.

    Args:
        trials: rows of ``trial_result`` as ``drawn_trials`` gives them.
        steps: their rows of ``step_result``.
        cell: such as lstm or gru.
    """
    made = figure(cell.upper(), "step", "training loss", height=380)
    runs = trials[trials["cell"] == cell]
    untrained = float(runs["initial_loss"].median())
    clipped = steps.assign(loss=steps["loss"].clip(FLOOR * untrained if untrained > 0 else None, CEILING * untrained))
    curves = {int(str(number)): curve for number, curve in clipped.groupby("number")}
    shown = set()
    for run in runs.to_dict("records"):
        curve, outcome = curves.get(run["number"]), run["outcome"]
        if curve is None:
            continue
        line = {"color": OUTCOME_COLOR[outcome], "width": 1.3, "dash": OUTCOME_DASH[outcome]}
        threshold = "" if pd.isna(run["threshold"]) else f" {run['threshold']:.3g}"
        others = ", ".join(filter(None, (described(run["factors"]), searched_in_words(run.get("searched")))))
        factors = f", {plain(others)}" if others else ""
        label = f"trial {run['number']}, {run['strategy']}{threshold}, lr {run['learning_rate']:.3g}{factors}"
        made.add_scatter(
            x=curve["step"].tolist(), y=rounded(curve["loss"]), mode="lines", line=line, opacity=0.75,
            name=outcome, legendgroup=outcome, showlegend=outcome not in shown,
            hovertemplate=f"{label}<br>step %{{x}}: %{{y}}<extra></extra>",
        )  # fmt: skip
        shown.add(outcome)
    _mark_ends(made, runs[runs["outcome"] == "diverged"], curves)
    few_decades = clipped["loss"].max() < FEW_DECADES * clipped["loss"].min()
    made.update_yaxes(type="log", exponentformat="none", dtick="D1" if few_decades else "D2")
    last = steps["step"].max()
    made.add_scatter(
        x=[0, int(last) if pd.notna(last) else 1], y=[untrained] * 2, mode="lines", name="untrained model",
        line={"color": GREY, "dash": "dash", "width": 1.5}, hoverinfo="skip",
    )  # fmt: skip
    return made


def _mark_ends(made: go.Figure, diverged: pd.DataFrame, curves: dict[int, pd.DataFrame]) -> None:
    ends = [
        (number, curve.dropna(subset=["loss"]).iloc[-1])
        for number, curve in curves.items()
        if number in set(diverged["number"]) and curve["loss"].notna().any()
    ]
    reasons = diverged.set_index("number")["reason"]
    if ends:
        made.add_scatter(
            x=[int(end["step"]) for _, end in ends],
            y=rounded([end["loss"] for _, end in ends]),
            text=[f"trial {number} diverged: {reasons[number]}" for number, _ in ends],
            hovertemplate="%{text} at step %{x}<extra></extra>",
            mode="markers",
            marker={"symbol": "x", "size": 9, "color": VERMILLION},
            name="diverged here",
        )
