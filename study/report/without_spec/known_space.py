"""What is known of the space of a study that gradstudy did not train, where a spec has it."""

import math
from collections.abc import Iterable
from typing import Any

import pandas as pd


def known_space(rows: pd.DataFrame, factors: Iterable[str], ranges: Iterable[str] = ()) -> dict[str, Any]:
    """The space over which rows of ``trial_result`` lie.

    Args:
        rows: of the study.
        factors: names in their column ``factors``.
        ranges: names in their column ``searched``.
    """
    return {
        "cells": sorted(rows["cell"].unique()),
        "strategies": sorted(rows["strategy"].unique()),
        "learning_rate": _axis(rows["learning_rate"]),
        "factors": {name: _values(rows["factors"], name) for name in factors},
        "hyperparameters": {name: _ends(rows["searched"], name) for name in ranges},
    }


def _axis(rates: "pd.Series[float]") -> list[float] | float:
    low, high = float(rates.min()), float(rates.max())
    return 1.0 if math.isnan(low) else low if low == high else [low, high]


def _values(factors: pd.Series, name: str) -> list[Any]:
    return list(dict.fromkeys(each[name] for each in factors if name in each))


def _ends(searched: pd.Series, name: str) -> list[float]:
    values = [each[name] for each in searched if name in each]
    return [min(values), max(values)]
