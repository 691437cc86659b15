"""Settings and their replicates: runs are of one setting when all that was searched agrees."""

from typing import Any

import numpy as np
import pandas as pd

from gradstudy.study.spec.factors import described
from gradstudy.study.spec.optimizer.searched import in_words as hyperparameter_in_words

GROUP = ["cell", "strategy"]
"""What runs are compared within, beside the factors that a study varies."""
SETTING = ["cell", "strategy", "threshold", "learning_rate"]


def setting_of(trials: pd.DataFrame) -> "pd.Series[int]":
    """A number for each row of ``trial_result``, the same for the runs of one setting."""
    keys = trials[SETTING]
    # What no trial has tells none apart; words of every row take longer than all else here.
    if is_varied(trials):
        keys = keys.assign(factors=trials["factors"].map(str))
    if any(searched := searched_values(trials)):
        keys = keys.assign(searched=pd.Series([str(each) for each in searched], trials.index, dtype="str"))
    return keys.groupby(list(keys), dropna=False, sort=False).ngroup()


def all_values(trials: pd.DataFrame) -> list[dict[str, Any]]:
    """What each row of ``trial_result`` has beside ``SETTING``: its factors, and what is searched on a range."""
    pairs = zip(trials["factors"], searched_values(trials), strict=True)
    return [(factors if isinstance(factors, dict) else {}) | searched for factors, searched in pairs]


def searched_values(trials: pd.DataFrame) -> list[dict[str, Any]]:
    """What each row of ``trial_result`` has of what is searched on a range."""
    return trials["searched"].tolist() if "searched" in trials else [{} for _ in range(len(trials))]


def in_words(trials: pd.DataFrame) -> pd.DataFrame:
    """Rows of ``trial_result`` with ``factors`` in words, see ``described``; empty where nothing is varied."""
    words = [described(factors) if factors and isinstance(factors, dict) else "" for factors in trials["factors"]]
    return trials.assign(factors=pd.Series(words, index=trials.index, dtype="str"))


def searched_in_words(searched: Any) -> str:
    """What is searched on a range, of a row of ``trial_result``, with four digits, see ``hyperparameter_in_words``."""
    values = sorted((searched or {}).items())
    return ", ".join(f"{name} {hyperparameter_in_words(name, value)}" for name, value in values)


def group_keys(trials: pd.DataFrame) -> list[str]:
    """``GROUP``, with ``factors`` where the trials vary any: a run says nothing about other values of a factor."""
    return [*GROUP, "factors"] if is_varied(trials) else GROUP


def is_varied(trials: pd.DataFrame) -> bool:
    """Whether the trials have factors, as dictionaries or in words."""
    if "factors" not in trials:
        return False
    factors = trials["factors"]
    return any(each and each != "{}" for each in (factors if factors.dtype == object else factors.unique()))


def weights(trials: pd.DataFrame) -> "pd.Series[float]":
    """One over the number of runs of each row's setting: with it, every setting counts once."""
    setting = setting_of(trials)
    return 1.0 / setting.groupby(setting).transform("size").astype(float)


def has_replicates(trials: pd.DataFrame) -> bool:
    """Whether any setting has more than one run."""
    return bool(len(trials)) and int(np.bincount(setting_of(trials)).max()) > 1
