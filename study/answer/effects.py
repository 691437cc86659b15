"""What each clipping does at the same learning rate, in sentences."""

import math
from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from gradstudy.study.statistics.settings import UNCLIPPED
from gradstudy.study.wording import counted
from gradstudy.study.worth.usable_rates import TOLERANCE

MOST_SENTENCES = 6
"""Of more comparisons the table tells."""


def effects(settings: pd.DataFrame) -> list[str]:
    """A sentence for each setting that clips, beside the one that does not; none where these are many.

    Args:
        settings: see ``by_setting``.
    """
    rows = settings[settings["less_loss"].notna()]
    if len(rows) > MOST_SENTENCES:
        return []
    plain = settings[settings["strategy"] == UNCLIPPED].to_dict("records")
    keys = [key for key in ("cell", "learning_rate", "factors") if key in settings]
    return [
        _sentence(row, next(each for each in plain if all(each[key] == row[key] for key in keys)))
        for row in rows.to_dict("records")
    ]


def _sentence(row: Mapping[Hashable, Any], plain: Mapping[Hashable, Any]) -> str:
    at = "" if pd.isna(row["threshold"]) else f" at {row['threshold']:g}"
    factors = f", {row['factors']}" if row.get("factors") else ""
    low, high = row["less_diverged_low"], row["less_diverged_high"]
    rates = f"{_signed(-row['less_diverged'])}, 95% interval {_signed(-high)} to {_signed(-low)}"
    return (
        f"{row['cell'].upper()}, learning rate {row['learning_rate']:g}{factors}: {row['strategy']}{at} instead of "
        f"none: {row['diverged']} of {counted(row['runs'], 'run')} diverged instead of {plain['diverged']} of "
        f"{plain['runs']:,} ({rates}); mean loss {row['loss']:.3f} instead of {plain['loss']:.3f} "
        f"({_difference(row)}): {_verdict(row)}."
    )


def _difference(row: Mapping[Hashable, Any]) -> str:
    less, away = row["less_loss"], row["less_loss_away"]
    if math.isnan(away):
        return f"{-less:+.3f}"
    return f"{-less:+.3f}, 95% interval {-less - away:+.3f} to {-less + away:+.3f}"


def _signed(share: float) -> str:
    return f"{round(share * 100):+d}%" if round(share * 100) else "0%"


def _verdict(row: Mapping[Hashable, Any]) -> str:
    """Whether it is better: the loss counts, in which a diverged run is an untrained one."""
    less, away = row["less_loss"], row["less_loss_away"]
    if abs(less) + away <= TOLERANCE * abs(row["untrained"]):
        return f"about as good, within {TOLERANCE:.0%} of the untrained loss"
    if math.isnan(away) or abs(less) <= away:
        return "these runs cannot tell the two apart"
    return "better" if less > 0 else "worse"
