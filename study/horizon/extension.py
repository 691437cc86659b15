"""The studies that train the best settings of another one longer: one for each number of steps."""

from dataclasses import dataclass, replace

import pandas as pd

from gradstudy.storage.database import Database
from gradstudy.storage.frames import read_trials
from gradstudy.storage.progress import has_ended
from gradstudy.storage.queue import enqueue_trials
from gradstudy.storage.studies import StudyRecord, find_study, list_extensions
from gradstudy.storage.study_attributes import read_attribute
from gradstudy.study.answer.appraisal import Appraisal
from gradstudy.study.answer.confirmation_plan import Chosen, best_settings
from gradstudy.study.answer.confirmation_study import EXTEND, create_for, spec_of_chosen
from gradstudy.study.answer.observation import mark_fresh
from gradstudy.study.errors import NothingToExtendError
from gradstudy.study.horizon.halving import HALF, fared
from gradstudy.study.spec.seeds import EXTENDING, derived_seed, trial_seed
from gradstudy.study.spec.study_name import derived_name
from gradstudy.study.spec.study_spec import stored_spec

EXTENDS = "gradstudy:extends"
"""Under this name a study says which one it extends, and with which settings."""


@dataclass(frozen=True, kw_only=True)
class Extension:
    """A study that trains settings of another one longer.

    Attributes:
        record: of it.
        chosen: the settings that it runs; of the shortest extension the first is the answer of the other study.
        steps: of each run.
    """

    record: StudyRecord
    chosen: list[Chosen]
    steps: int

    @property
    def runs(self) -> int:
        """Of each setting."""
        return self.record.budget // len(self.chosen)


def find_extensions(database: Database, study: StudyRecord) -> list[Extension]:
    """The extensions of a study that have runs, the shortest first."""
    found = []
    for record in list_extensions(database, study):
        kept = read_attribute(database, record.study_id, EXTENDS)
        if record.budget and kept is not None:
            chosen = [Chosen(**setting) for setting in kept["settings"]]
            found.append(Extension(record=record, chosen=chosen, steps=int(record.spec["steps"])))
    return found


def first_settings(database: Database, study: StudyRecord, top: int) -> list[Chosen]:
    """The settings that are trained longer: the best ones of the study, each at its learning rate and at half of it.

    Raises:
        NothingToExtendError: no trial of the study trained.
    """
    trials = read_trials(database, study.name)
    appraisal = Appraisal(mark_fresh(trials, study.spec["sampler"], study.spec["seeds"]))
    chosen = best_settings(appraisal, trials, [(1.0, HALF)] * top, study.spec["space"])
    if not chosen:
        raise NothingToExtendError(f"study {study.name!r} has no trial that trained: there is nothing to train longer")
    return chosen


def begin_extension(database: Database, study: StudyRecord, chosen: list[Chosen], steps: int, runs: int) -> Extension:
    """The study that trains settings for so many steps, made unless somebody else has done so.

    Run r of every setting has the same seed: what chance does to one it does to all, and their differences are clearer.

    Args:
        database: that holds the study.
        study: to be extended.
        chosen: the settings, of the shortest extension the answer of the study first.
        steps: of each run.
        runs: of each setting.

    Raises:
        StudyExistsError: its name is taken.
    """
    short = stored_spec(study)
    seed = derived_seed(short.seed, EXTENDING + steps)
    name = derived_name(study.name, f"-at-{steps}")
    spec = spec_of_chosen(short, chosen, len(chosen) * runs, name=name, seed=seed, steps=steps)
    record, chosen = create_for(database, study, spec, chosen, EXTENDS, EXTEND)
    rows = [(setting, trial_seed(seed, run)) for run in range(runs) for setting in chosen]
    enqueue_trials(database.engine, replace(record, budget=0), rows)
    return Extension(record=find_study(database, record.name), chosen=chosen, steps=steps)


def read_longer(database: Database, study: StudyRecord) -> tuple[pd.DataFrame, pd.DataFrame]:
    """How the settings fared that were trained longer, of every extension whose runs have ended.

    Returns:
        - ``steps`` and the columns of ``fared``, the shortest runs first and the best setting first; ``is_answer`` is
          whether the setting was the answer of the study;
        - the runs, rows of ``trial_result``.

        Both empty where nothing was trained longer.
    """
    tables, runs = [], []
    extensions = find_extensions(database, study)
    for extension in extensions:
        if not has_ended(database.engine, extension.record):
            continue
        trials = read_trials(database, extension.record.name)
        table = fared(extension.chosen, trials)
        table.insert(0, "steps", extension.steps)
        table["is_answer"] = [setting == extensions[0].chosen[0] for setting in extension.chosen]
        tables.append(table.sort_values("loss", kind="stable"))
        runs.append(trials)
    if not tables:
        return pd.DataFrame(), pd.DataFrame()
    return pd.concat(tables, ignore_index=True), pd.concat(runs, ignore_index=True)
