"""What a study has found of its frontiers, for another one to begin with."""

import math

import pandas as pd

from gradstudy.study.frontier.crossings import crossings, telling
from gradstudy.study.frontier.intervals import STANDARD_DEVIATIONS
from gradstudy.study.spec.parts import FoundFrontier, Like


def found(trials: pd.DataFrame, study: str) -> Like:
    """The frontiers by a study's own runs alone; none where these tell of none.

    Args:
        trials: rows of its ``trial_result``.
        study: its name.
    """
    runs = telling(trials)
    if runs.empty:
        return Like(study=study)
    table = crossings(runs)
    frontiers = [
        FoundFrontier(
            cell=row["cell"],
            strategy=row["strategy"],
            threshold_bin=None if math.isnan(row["threshold_bin"]) else row["threshold_bin"],
            factors=row["chosen"],
            learning_rate=10 ** row["crossing"],
            decades=(row["high"] - row["low"]) / STANDARD_DEVIATIONS,
        )
        for row in table.to_dict("records")
    ]
    slope, rise = table[["slope", "rise"]].median()
    return Like(study=study, slope=slope, rise=rise, frontiers=tuple(frontiers))
