"""All figures of a report, by section and name."""

from collections.abc import Iterator

import pandas as pd
import plotly.graph_objects as go

from gradstudy.study.report.figures.frontier_by_factor import frontier_by_factor_figure
from gradstudy.study.report.figures.importance_bars import importance_bars
from gradstudy.study.report.figures.loss_curves import drawn_trials, loss_curves
from gradstudy.study.report.figures.norm_distribution import norm_distribution
from gradstudy.study.report.figures.setting_map import HALF_DECADE, setting_map
from gradstudy.study.report.figures.survival_curves import survival_curves
from gradstudy.study.report.report import Report
from gradstudy.study.spec.axis import ends, read_axis
from gradstudy.study.spec.plain import is_plain, is_recorded
from gradstudy.study.statistics.grouping import group_keys, in_words, is_varied
from gradstudy.study.statistics.rates import judged

Sections = dict[str, dict[str, go.Figure]]


def report_figures(report: Report, steps: pd.DataFrame) -> Sections:
    """The figures of a report.

    Args:
        report: of a study.
        steps: rows of ``step_result`` of the trials that ``drawn_trials`` chooses.

    Returns:
        The sections ``map``, ``by_factor``, ``loss``, ``norms``, ``survival`` and ``importance``; in each the figures
        by a name that is different from all others, one for each cell, or cell and strategy. Sections of which nothing
        can be drawn are empty.
    """
    runs = judged(report.trials)
    drawn = drawn_trials(report.trials)
    cells = sorted(runs["cell"].unique())
    suggested = dict(zip(report.suggested["cell"], report.suggested["threshold"], strict=True))
    has_norms = not is_plain(report.study.spec) or is_recorded(report.study.spec)
    if is_varied(runs):  # one threshold for each choice of factors, and their norms are drawn together
        suggested = {}
    return {
        "map": dict(_maps(report, runs)),
        "by_factor": dict(_by_factor(report.frontiers_by_factor)),
        "loss": {f"loss-{cell}": loss_curves(drawn, steps, cell) for cell in cells} if _on_an_axis(steps) else {},
        "norms": {f"norms-{cell}": norm_distribution(steps, cell, suggested.get(cell)) for cell in cells}
        if has_norms
        else {},
        "survival": dict(_survivals(report.survival, report.steps)),
        "importance": {} if report.importance.empty else {"importance": importance_bars(report.importance)},
    }


def _on_an_axis(steps: pd.DataFrame) -> bool:
    """Whether losses can be drawn on a logarithmic axis: a plain study may report none, or what it maximises."""
    return bool((steps["loss"] > 0).any())


def _by_factor(table: pd.DataFrame) -> Iterator[tuple[str, go.Figure]]:
    """One figure for each cell and number that is varied, where any frontier is known."""
    known = table.dropna(subset=["frontier"])
    for factor, cell in known[["factor", "cell"]].drop_duplicates().itertuples(index=False):
        yield f"frontier-{cell}-{factor}", frontier_by_factor_figure(table, cell, factor)


def _survivals(table: pd.DataFrame, steps: int) -> Iterator[tuple[str, go.Figure]]:
    """One figure for each cell, and choice of factors."""
    keys = [key for key in group_keys(table) if key != "strategy"]
    for number, (key, curves) in enumerate(table.groupby(keys)):
        cell, *factors = map(str, key)
        name = f"survival-{cell}" + (f"-{number}" if factors else "")
        yield name, survival_curves(curves, ", ".join([cell.upper(), *factors]), steps)


def _maps(report: Report, runs: pd.DataFrame) -> Iterator[tuple[str, go.Figure]]:
    """In the order of the spec, cells side by side."""
    low, high = ends(read_axis(report.study.spec["space"]["learning_rate"]))
    if low == high:
        low, high = low / HALF_DECADE, high * HALF_DECADE
    best = report.recommendation.setting.number if report.recommendation else None
    trained = runs.loc[runs["outcome"] == "trained", "objective"]
    losses = (0.0, 1.0) if trained.empty else (float(trained.min()), float(trained.max()))
    runs, keys = in_words(runs), group_keys(runs)
    frontiers, none = dict(list(report.frontiers.groupby(keys))), report.frontiers.head(0)
    groups = dict(list(runs.groupby(keys)))
    order = list(report.study.spec["space"]["strategies"])
    for number, key in enumerate(sorted(groups, key=lambda key: (key[2:], order.index(key[1]), key[0]))):
        name = f"map-{key[0]}-{key[1]}" + (f"-{number}" if key[2:] else "")
        yield name, setting_map(groups[key], frontiers.get(key, none), (low, high), losses, best)
