"""Loss, gradient norm and learning rate of runs over the steps, with a mark at the first bad one."""

import math
from collections.abc import Sequence

import plotly.graph_objects as go

from gradstudy.study.diagnosis.diagnose import Diagnosis
from gradstudy.study.diagnosis.run_diagnosis import RunDiagnosis
from gradstudy.study.diagnosis.series import Series
from gradstudy.study.report.figures.style import FRONTIER_COLOR, SERIES, VERMILLION, figure, plain, rounded, spread

POINTS = 600
"""Of a curve."""
MOST_RUNS = len(SERIES)
"""Curves that can be told apart."""
DECADES = 6
"""Above the lowest value that are drawn: what is on its way to infinity must not flatten the rest."""


def diagnosis_figures(diagnosis: Diagnosis) -> dict[str, go.Figure]:
    """The figures by name: ``loss``, and ``norm`` and ``rate`` where these are logged."""
    runs = sorted(diagnosis.runs, key=lambda run: not run.is_bad)[:MOST_RUNS]
    made = {"loss": _curves("Loss", "loss", [(run, run.losses) for run in runs])}
    if any(run.norms.seen for run in runs):
        made["norm"] = _curves("Gradient norm", "norm of the gradient", [(run, run.norms) for run in runs])
        _draw_thresholds(made["norm"], runs)
    if any(run.rates.seen for run in runs):
        made["rate"] = _curves("Learning rate", "learning rate", [(run, run.rates) for run in runs])
    return made


def _curves(title: str, axis: str, curves: Sequence[tuple[RunDiagnosis, Series]]) -> go.Figure:
    made = figure(title, "step", axis, height=380)
    finite = [value for _, series in curves for value in series.values if math.isfinite(value)]
    is_positive = bool(finite) and min(finite) > 0
    ceiling = min(finite) * 10.0**DECADES if is_positive else math.inf
    for place, (run, series) in enumerate(curves):
        if not series.seen:
            continue
        places = spread(len(series.values), POINTS)
        color, dash = SERIES[place]
        made.add_scatter(
            x=[series.steps[each] for each in places],
            y=rounded([_drawn(series.values[each], ceiling) for each in places]),
            mode="lines" if len(places) > 1 else "markers", line={"color": color, "dash": dash, "width": 1.4},
            name=plain(run.name), hovertemplate="step %{x}: %{y}<extra></extra>",
        )  # fmt: skip
        if run.is_bad and run.judged.first_bad is not None:
            _mark(made, run, series, ceiling)
    if is_positive:
        made.update_yaxes(type="log", exponentformat="none" if max(finite) < 1e5 and min(finite) > 1e-4 else "power")
    return made


def _drawn(value: float, ceiling: float) -> float:
    return min(value, ceiling) if math.isfinite(value) else math.nan


def _mark(made: go.Figure, run: RunDiagnosis, series: Series, ceiling: float) -> None:
    """A cross at the first bad step, or at the last point before it that can be drawn."""
    bad = run.judged.first_bad
    points = [
        (step, value)
        for step, value in zip(series.steps, series.values, strict=True)
        if bad is not None and step <= bad and math.isfinite(value)
    ]
    if points:
        step, value = points[-1]
        made.add_scatter(
            x=[step], y=rounded([_drawn(value, ceiling)]), mode="markers", showlegend=False,
            marker={"symbol": "x", "size": 10, "color": VERMILLION},
            hovertemplate=f"{plain(run.name)}: first bad step {bad:g}<extra></extra>",
        )  # fmt: skip


def _draw_thresholds(made: go.Figure, runs: Sequence[RunDiagnosis]) -> None:
    """The threshold that the norms suggest, where there is but one run."""
    norms = runs[0].healthy_norms
    if len(runs) == 1 and norms is not None and norms.threshold is not None:
        made.add_scatter(
            x=[runs[0].first_step, runs[0].last_step], y=[norms.threshold] * 2, mode="lines",
            name=f"suggested threshold {norms.threshold:.3g}", hoverinfo="skip",
            line={"color": FRONTIER_COLOR, "width": 2, "dash": "dash"},
        )  # fmt: skip
