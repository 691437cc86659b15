"""The studies that train the best settings of another one longer: one for each number of steps."""

from dataclasses import dataclass, replace

import pandas as pd

from gradstudy.storage.database import Database
from gradstudy.storage.errors import NotFoundError
from gradstudy.storage.frames import read_trials
from gradstudy.storage.progress import REMAINING, RUNNING, count_outcomes
from gradstudy.storage.queue import enqueue_trials
from gradstudy.storage.studies import StudyRecord, find_study
from gradstudy.storage.study_attributes import read_attribute, replace_attributes
from gradstudy.study.answer.appraisal import Appraisal
from gradstudy.study.answer.confirmation_plan import Chosen, best_settings
from gradstudy.study.answer.confirmation_study import create_for, identity_of, spec_of_chosen
from gradstudy.study.answer.observation import mark_fresh
from gradstudy.study.errors import NothingToExtendError
from gradstudy.study.horizon.halving import HALF, fared
from gradstudy.study.spec.derived_name import derived_name
from gradstudy.study.spec.seeds import EXTENDING, derived_seed, trial_seed
from gradstudy.study.spec.study_spec import stored_spec

EXTENDS = "gradstudy:extends"
"""Under this name a study says which one it extends, and with which settings."""
HORIZONS = "gradstudy:horizons"
"""Under this name a study says to how many steps it was extended."""


@dataclass(frozen=True, kw_only=True)
class Extension:
    """A study that trains settings of another one longer.

    Attributes:
        record: of it.
        chosen: the settings that it runs; the first is the answer of the other study.
        steps: of each run.
    """

    record: StudyRecord
    chosen: list[Chosen]
    steps: int


def find_extensions(database: Database, study: StudyRecord) -> list[Extension]:
    """The extensions of a study, the shortest first."""
    steps = read_attribute(database, study.study_id, HORIZONS) or []
    return [found for each in sorted(steps) if (found := find_extension(database, study, each)) is not None]


def find_extension(database: Database, study: StudyRecord, steps: int) -> Extension | None:
    """The extension of a study to so many steps; None when there is none."""
    try:
        record = find_study(database, _name(study, steps))
    except NotFoundError:
        return None
    kept = read_attribute(database, record.study_id, EXTENDS)
    if kept is None or kept["study"] != identity_of(study):
        return None
    return Extension(record=record, chosen=[Chosen(**setting) for setting in kept["settings"]], steps=steps)


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
    """Make the study that trains settings for so many steps; it has no runs yet.

    Args:
        database: that holds the study.
        study: to be extended.
        chosen: the settings, the answer of the study first.
        steps: of each run.
        runs: of each setting, as ``put_in`` will have them.

    Raises:
        StudyExistsError: its name is taken.
    """
    short = stored_spec(study)
    seed = derived_seed(short.seed, EXTENDING + steps)
    spec = spec_of_chosen(short, chosen, len(chosen) * runs, name=_name(study, steps), seed=seed, steps=steps)
    record = create_for(database, study, spec, chosen, EXTENDS, "extend")
    known = read_attribute(database, study.study_id, HORIZONS) or []
    replace_attributes(database, study.study_id, [HORIZONS], {HORIZONS: sorted({*known, steps})})
    return Extension(record=record, chosen=chosen, steps=steps)


def put_in(database: Database, extension: Extension, runs: int) -> Extension:
    """Give an extension its runs, unless it has them.

    Run r of every setting has the same seed: what chance does to one it does to all, and their differences are clearer.
    """
    seed = stored_spec(extension.record).seed
    rows = [(setting, trial_seed(seed, run)) for run in range(runs) for setting in extension.chosen]
    if not extension.record.budget:
        enqueue_trials(database.engine, extension.record, rows)
    return replace(extension, record=find_study(database, extension.record.name))


def is_ended(database: Database, extension: Extension) -> bool:
    """Whether all its runs have ended."""
    counts = count_outcomes(database.engine, extension.record)
    return counts[REMAINING] + counts[RUNNING] == 0


def results(database: Database, extension: Extension) -> pd.DataFrame:
    """How its settings fared, see ``fared``."""
    return fared(extension.chosen, read_trials(database, extension.record.name))


def horizon_table(database: Database, study: StudyRecord) -> pd.DataFrame:
    """How the settings fared that were trained longer, of every extension whose runs have ended.

    Returns:
        ``steps`` and the columns of ``fared``, the shortest runs first and the best setting first; ``is_answer`` is
        whether the setting is the answer of the study. Empty where nothing was trained longer.
    """
    parts = []
    for extension in find_extensions(database, study):
        if not is_ended(database, extension):
            continue
        table = results(database, extension)
        table.insert(0, "steps", extension.steps)
        table["is_answer"] = [setting == extension.chosen[0] for setting in extension.chosen]
        parts.append(table.sort_values("loss", kind="stable"))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _name(study: StudyRecord, steps: int) -> str:
    return derived_name(study.name, f"-at-{steps}")
