"""Settings and their replicates: runs are of one setting when all that was searched agrees."""

import numpy as np
import pandas as pd

SETTING = ["cell", "strategy", "threshold", "learning_rate"]


def setting_of(trials: pd.DataFrame) -> "pd.Series[int]":
    """A number for each row of ``trial_result``, the same for the runs of one setting."""
    keys = trials[SETTING].assign(factors=trials["factors"].map(str))
    return keys.groupby([*SETTING, "factors"], dropna=False, sort=False).ngroup()


def weights(trials: pd.DataFrame) -> "pd.Series[float]":
    """One over the number of runs of each row's setting: with it, every setting counts once."""
    setting = setting_of(trials)
    return 1.0 / setting.groupby(setting).transform("size").astype(float)


def has_replicates(trials: pd.DataFrame) -> bool:
    """Whether any setting has more than one run."""
    return bool(len(trials)) and int(np.bincount(setting_of(trials)).max()) > 1
