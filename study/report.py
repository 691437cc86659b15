"""What a study says: the recommendation and the tables behind it, from frame to frame."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from gradstudy.storage.database import Database
from gradstudy.storage.frames import read_trials
from gradstudy.storage.studies import StudyRecord, find_study
from gradstudy.study.recommendation import Recommendation, recommend
from gradstudy.study.statistics import divergence_by


@dataclass(frozen=True, kw_only=True)
class Report:
    """Everything that a report shows.

    Attributes:
        study: name, spec, budget.
        trials: rows of ``trial_result``.
        recommendation: None when no trial trained.
        strategies: one row for each cell and strategy, see ``divergence_by``.
        bins: the same for each cell, strategy, ``threshold_decade`` and ``learning_rate_bin`` of half a decade.
    """

    study: StudyRecord
    trials: pd.DataFrame
    recommendation: Recommendation | None
    strategies: pd.DataFrame
    bins: pd.DataFrame


def build_report(study: StudyRecord, trials: pd.DataFrame) -> Report:
    """Make a report from the rows of ``trial_result``."""
    return Report(
        study=study,
        trials=trials,
        recommendation=recommend(trials),
        strategies=divergence_by(trials, ["cell", "strategy"]),
        bins=divergence_by(
            trials.assign(threshold_decade=10 ** np.floor(np.log10(trials["threshold"]))),
            ["cell", "strategy", "threshold_decade", "learning_rate_bin"],
        ),
    )


def read_report(database: Database, name: str) -> Report:
    """Make the report of a study.

    Raises:
        NotFoundError: there is no such study.
    """
    return build_report(find_study(database, name), read_trials(database, name))
