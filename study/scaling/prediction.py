"""What a study that varies a width says of a larger one: the best learning rate and the frontier there."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from gradstudy.models.parametrization_names import is_by_size
from gradstudy.study.answer.appraisal import Appraisal
from gradstudy.study.scaling.best_rates import best_rate
from gradstudy.study.scaling.law import BY_SIZE, EVEN, TRANSFERRED, WITHIN_95, Known, Line, extrapolate
from gradstudy.study.spec.checks.scale import WIDTH
from gradstudy.study.spec.factors import described
from gradstudy.study.statistics.grouping import GROUP

FEWEST_RATES = 3
"""Learning rates of a width below which no best one is told from the others."""
UNKNOWN_END = 0.3
"""Standard deviation, in decades, of a frontier neither end of whose interval is known."""
COLUMNS = [
    *GROUP, "factors", "threshold", "widths", "target", "best_rate", "best_rate_low", "best_rate_high",
    "best_rate_slope", "frontier", "frontier_low", "frontier_high", "frontier_slope",
]  # fmt: skip

Shown = list[tuple[float, float, float]]
"""Of each width: the width, a learning rate in decades, its standard deviation."""


@dataclass(frozen=True)
class _Group:
    """What is predicted for: settings that differ in width, threshold and learning rate only.

    Attributes:
        key: cell, strategy, the other factors in words.
        others: these factors.
        places: of each width, the rows of ``Appraisal.settings``.
    """

    key: tuple[str, str, str]
    others: Mapping[str, Any]
    places: Mapping[float, list[int]]


def scale_table(spec: Mapping[str, Any], frontiers: pd.DataFrame, appraisal: Appraisal) -> pd.DataFrame:
    """What is predicted for the larger model.

    Args:
        spec: of the study, as JSON.
        frontiers: as ``frontier`` gives them.
        appraisal: of its runs.

    Returns:
        Without rows where the study is scaled to nothing or no run trained. For each cell, strategy and choice of the
        other factors (``factors``, in words): ``threshold``, that of the best setting at the largest width;
        ``widths`` as text; ``target``; ``best_rate`` with its 95% interval ``best_rate_low`` to ``best_rate_high`` and
        ``best_rate_slope``, decades for each decade of width; the same of the ``frontier`` at this half-decade of
        threshold. NaN where fewer than two widths show it.
    """
    rows = []
    for name, target in spec["space"].get("scale_to", {}).items():
        if appraisal.model is None:
            break
        for group in _groups(appraisal, name):
            threshold, threshold_bin = _threshold(appraisal, group)
            law = _known_beforehand(spec, name, group)
            rates = _line(_best_rates(appraisal, group, threshold), target, law)
            edges = _line(_frontiers(appraisal, group, threshold_bin, frontiers), target, law)
            widths = ", ".join(f"{width:g}" for width in group.places)
            rows.append((*group.key, threshold, widths, target, *rates, *edges))
    return pd.DataFrame(rows, columns=COLUMNS) if rows else pd.DataFrame()


def _known_beforehand(spec: Mapping[str, Any], name: str, group: _Group) -> Known:
    """What is known beforehand of learning rates, by the parametrization, the optimizer and the strategy."""
    of_study = spec.get("model", {}).get("parametrization", "standard")
    if name == WIDTH and group.others.get("parametrization", of_study) == "mup":
        return TRANSFERRED
    optimizer = group.others.get("optimizer", spec.get("optimizer", "sgd"))
    return BY_SIZE if is_by_size(optimizer, group.key[1]) else EVEN


def _groups(appraisal: Appraisal, name: str) -> Iterator[_Group]:
    """The groups of a study that varies ``name``."""
    found: dict[tuple[str, str, str], tuple[dict[str, Any], dict[float, list[int]]]] = {}
    settings = appraisal.settings
    for place, (cell, strategy, values) in enumerate(settings[[*GROUP, "values"]].itertuples(index=False, name=None)):
        others = {factor: value for factor, value in values.items() if factor != name}
        _, places = found.setdefault((cell, strategy, described(others)), (others, {}))
        places.setdefault(float(values[name]), []).append(place)
    for key, (others, places) in sorted(found.items()):
        yield _Group(key, others, dict(sorted(places.items())))


def _threshold(appraisal: Appraisal, group: _Group) -> tuple[float, float]:
    """The threshold of the best setting at the largest width that has one, and the half-decade that it is of."""
    worth, settings = appraisal.worth, appraisal.settings
    assert worth is not None
    places = list(group.places.values())[-1]
    best = settings.iloc[places[int(np.argmin(worth.rating[places]))]]
    return float(best["threshold"]), float(best["threshold_bin"])


def _best_rates(appraisal: Appraisal, group: _Group, threshold: float) -> Shown:
    """The best learning rate at each width."""
    assert appraisal.model is not None
    known, settings = [], appraisal.observed.settings
    for width, places in group.places.items():
        rates = settings.learning_rates[places]
        if len(np.unique(rates)) >= FEWEST_RATES:
            one = replace(settings.take(places[:1]), thresholds=np.log10([threshold]))
            known.append((width, *best_rate(appraisal.model, one, (float(rates.min()), float(rates.max())))))
    return known


def _frontiers(appraisal: Appraisal, group: _Group, threshold_bin: float, frontiers: pd.DataFrame) -> Shown:
    """The frontier at each width at which it was bracketed."""
    known = []
    for width, places in group.places.items():
        first = appraisal.settings.iloc[places[0]]
        mine = (frontiers[[*GROUP, "factors"]] == first[[*GROUP, "factors"]].to_numpy()).all(axis=1)
        mine &= frontiers["threshold_bin"].eq(threshold_bin) | (
            frontiers["threshold_bin"].isna() & np.isnan(threshold_bin)
        )
        for row in frontiers[mine & frontiers["frontier"].notna()].to_dict("records"):
            low, middle, high = np.log10([row["frontier_low"], row["frontier"], row["frontier_high"]])
            away = np.array([middle - low, high - middle])
            sd = UNKNOWN_END if np.isnan(away).all() else float(np.nanmean(away)) / WITHIN_95
            known.append((width, float(middle), sd))
    return known


def _line(shown: Shown, target: float, law: Known) -> tuple[float, float, float, float]:
    """The learning rate at the target, the ends of its interval and the slope; NaN where too little is known."""
    if len(shown) < 2:
        return np.nan, np.nan, np.nan, np.nan
    widths, decades, sds = np.array(shown).T
    found: Line = extrapolate(widths, decades, sds, target, law)
    return found.learning_rate, *found.interval, found.slope
