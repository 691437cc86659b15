"""When a study knows what it was launched for: every frontier to the wanted width."""

from collections import defaultdict

import numpy as np
import pandas as pd

from gradstudy.storage.bins import half_decade
from gradstudy.study.frontier.table import ABOVE, BELOW, BRACKETED, frontier
from gradstudy.study.spec.axis import half_decades
from gradstudy.study.spec.factors import combinations
from gradstudy.study.spec.study_spec import StudySpec


def are_frontiers_known(trials: pd.DataFrame, spec: StudySpec) -> bool:
    """Whether every frontier of a study is known to ``spec.frontier_width``.

    What the report shows is what counts: for each cell, strategy and half-decade of threshold the 95% interval of the
    frontier is at most so many decades wide, or all of it but so many decades lies beyond the learning rates tried.

    Args:
        trials: rows of ``trial_result``.
        spec: of the study.
    """
    if spec.frontier_width is None or trials.empty:
        return False
    table = frontier(trials, spec.like)
    widths: dict[tuple[str, str, float | None], list[float]] = defaultdict(list)
    for key, width in zip(_keys(table), interval_widths(table), strict=True):
        widths[key].append(float(width))
    combined = len(list(combinations(spec.space.factors)))  # a frontier for each combination of factors
    return all(
        len(widths[key]) == combined and max(widths[key]) <= spec.frontier_width for key in expected_frontiers(spec)
    )


def expected_frontiers(spec: StudySpec) -> list[tuple[str, str, float | None]]:
    """Cell, strategy and bin of the threshold of every frontier that a spec searches."""
    found: list[tuple[str, str, float | None]] = []
    for cell in spec.space.cells:
        for strategy in spec.space.strategies:
            axis = spec.space.threshold_axis(strategy)
            starts = [None] if axis is None else [half_decade(10**start) for start in half_decades(axis)]
            found += [(cell, strategy, start) for start in starts]
    return found


def interval_widths(table: pd.DataFrame) -> np.ndarray:
    """Decades of the learning rates tried that each frontier's interval holds, [rows]; infinite with too few runs.

    Args:
        table: as ``frontier`` gives it.
    """
    low = np.log10(table["frontier_low"].fillna(table["lowest_learning_rate"]).to_numpy(float))
    high = np.log10(table["frontier_high"].fillna(table["highest_learning_rate"]).to_numpy(float))
    # Of a frontier outside of the range an end that is missing lies outside as well, on its side.
    beyond = ((table["status"] == ABOVE) & table["frontier_low"].isna()) | (
        (table["status"] == BELOW) & table["frontier_high"].isna()
    )
    judged = table["status"].isin([BRACKETED, ABOVE, BELOW]).to_numpy()
    return np.asarray(np.where(judged, np.where(beyond, 0.0, high - low), np.inf))


def _keys(table: pd.DataFrame) -> list[tuple[str, str, float | None]]:
    bins = [None if pd.isna(start) else half_decade(float(start)) for start in table["threshold_bin"]]
    return list(zip(table["cell"].astype(str), table["strategy"].astype(str), bins, strict=True))
