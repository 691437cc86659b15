"""A trial of a study as it was recorded, with what it takes to train it again."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from gradstudy.storage.database import Database
from gradstudy.storage.frames import read_trials
from gradstudy.storage.queue import SettingRow
from gradstudy.storage.studies import find_study
from gradstudy.study.errors import TrialNotFoundError
from gradstudy.study.search.space import Setting, from_row
from gradstudy.study.spec.factors import described
from gradstudy.study.spec.study_spec import StudySpec, stored_spec
from gradstudy.study.spec.variations import varied
from gradstudy.study.statistics.grouping import searched_in_words


@dataclass(frozen=True, kw_only=True)
class RecordedTrial:
    """A trial that has a result.

    Attributes:
        row: of ``trial_result``.
        setting: of the trial.
        seed: of the trial.
        spec: of its study, with the trial's factors put in.
    """

    row: dict[str, Any]
    setting: Setting
    seed: int
    spec: StudySpec


def read_trial(database: Database, name: str, number: int) -> RecordedTrial:
    """Read trial ``number`` of a study.

    Raises:
        NotFoundError: there is no such study.
        TrialNotFoundError: there is no such trial, or it has no result yet.
    """
    spec = stored_spec(find_study(database, name))
    trials = read_trials(database, name, excluded=True)
    rows = trials[trials["number"] == number].to_dict("records")
    if not rows:
        known = f"0 to {trials['number'].max()}" if len(trials) else "none yet"
        raise TrialNotFoundError(f"study {name!r} has no trial {number}; its trials are {known}")
    row = {str(column): value for column, value in rows[0].items()}
    if pd.isna(row["outcome"]) or row["outcome"] == "failed":
        raise TrialNotFoundError(f"trial {number} of study {name!r} has no result to compare with")
    setting = from_row(SettingRow.of(row))
    return RecordedTrial(row=row, setting=setting, seed=int(row["seed"]), spec=varied(spec, setting.factors))


def in_words(row: Mapping[str, Any]) -> str:
    """The setting and the seed of a row of ``trial_result``."""
    threshold = row["threshold"]
    with_threshold = "" if pd.isna(threshold) else f" at {threshold:.3g}"
    words = [
        f"trial {row['number']}: {row['cell']}",
        f"{row['strategy']}{with_threshold}",
        f"learning rate {row['learning_rate']:.3g}",
        described(row["factors"]),
        searched_in_words(row.get("searched")),
        f"seed {row['seed']}",
    ]
    return ", ".join(filter(None, words))
