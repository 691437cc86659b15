"""The study that confirms another one: its own name, its own seeds, and runs of chosen settings instead of a search."""

from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from gradstudy.models.strategies import STRATEGIES
from gradstudy.storage.database import Database
from gradstudy.storage.errors import NotFoundError, StudyExistsError
from gradstudy.storage.frames import read_trials
from gradstudy.storage.progress import REMAINING, RUNNING, count_outcomes
from gradstudy.storage.queue import enqueue_trials
from gradstudy.storage.studies import StudyRecord, create_study, find_study, list_studies
from gradstudy.storage.study_attributes import keep_first, read_attribute
from gradstudy.study.answer.appraisal import Appraisal
from gradstudy.study.answer.confirmation_plan import MARGIN, Chosen, choose, confirmation_table, plan_round
from gradstudy.study.answer.observation import mark_fresh
from gradstudy.study.errors import NothingToConfirmError
from gradstudy.study.launch import launched_with
from gradstudy.study.spec.axis import LARGEST
from gradstudy.study.spec.seeds import CONFIRMING, derived_seed, trial_seed
from gradstudy.study.spec.study_name import derived_name
from gradstudy.study.spec.study_spec import StudySpec, parse_spec, stored_spec

SUFFIX = "-confirm"
ATTRIBUTE = "gradstudy:confirms"
"""Under this name a study says which one it confirms, and with which settings."""
EXTEND = "extend"


@dataclass(frozen=True, kw_only=True)
class Confirmation:
    """A study that confirms another one.

    Attributes:
        record: of it, whose budget grows round by round.
        chosen: the settings that it runs.
    """

    record: StudyRecord
    chosen: list[Chosen]


def confirmation_name(name: str) -> str:
    """What the study is called that confirms one of this name."""
    return derived_name(name, SUFFIX)


def find_confirmation(database: Database, study: StudyRecord) -> Confirmation | None:
    """The study that confirms this one; None when there is none."""
    try:
        record = find_study(database, confirmation_name(study.name))
    except NotFoundError:
        return None
    kept = read_attribute(database, record.study_id, ATTRIBUTE)
    if kept is None or kept["study"] != identity_of(study):
        return None
    return Confirmation(record=record, chosen=[Chosen(**setting) for setting in kept["settings"]])


def confirmed_study(database: Database, study: StudyRecord) -> StudyRecord | None:
    """The study that this one confirms; None when it is no confirmation, or the other was deleted."""
    kept = read_attribute(database, study.study_id, ATTRIBUTE)
    if kept is None:
        return None
    return next((record for record in list_studies(database) if identity_of(record) == kept["study"]), None)


def begin_confirmation(database: Database, study: StudyRecord, top: int, max_runs: int) -> Confirmation:
    """Choose the settings to confirm, and make the study that runs them; it has no runs yet.

    Args:
        database: that holds the study.
        study: to be confirmed.
        top: how many settings, of different cells or strategies, at most.
        max_runs: how many runs are to be expected at most.

    Raises:
        NothingToConfirmError: no trial of the study trained, or it is itself a confirmation.
        StudyExistsError: the name of the confirmation is taken.
    """
    if read_attribute(database, study.study_id, ATTRIBUTE) is not None:
        confirmed = confirmed_study(database, study)
        advice = "the study that it confirms was deleted"
        if confirmed is not None:
            advice = f"name the study that it confirms, {confirmed.name!r}"
        raise NothingToConfirmError(f"study {study.name!r} is itself a confirmation; {advice}")
    spec = stored_spec(study)
    trials = read_trials(database, study.name)
    appraisal = Appraisal(mark_fresh(trials, study.spec["sampler"], study.spec["seeds"]))
    chosen = choose(appraisal, trials, top, study.spec["space"])
    if not chosen:
        raise NothingToConfirmError(f"study {study.name!r} has no trial that trained: there is nothing to confirm")
    spec = confirming_spec(spec, chosen, max_runs)
    record, chosen = create_for(database, study, spec, chosen, ATTRIBUTE, "confirm")
    return Confirmation(record=record, chosen=chosen)


def confirming_spec(spec: StudySpec, chosen: list[Chosen], max_runs: int) -> StudySpec:
    """The spec of a confirmation."""
    return spec_of_chosen(
        spec, chosen, max_runs, name=confirmation_name(spec.name), seed=derived_seed(spec.seed, CONFIRMING)
    )


def create_for(
    database: Database, study: StudyRecord, spec: StudySpec, chosen: list[Chosen], attribute: str, verb: str
) -> tuple[StudyRecord, list[Chosen]]:
    """The study that runs chosen settings of another one, made without runs unless it is there.

    Several processes may make it at the same moment, and any of them may be cut off: the settings are those of the
    first that wrote them down.

    Args:
        database: that holds both.
        study: whose settings they are.
        spec: of the new one.
        chosen: the settings.
        attribute: under which the new one says whose settings it runs, and which.
        verb: what it does to the other one.

    Returns:
        The new one, and the settings that it runs.

    Raises:
        StudyExistsError: its name is taken.
    """
    values, extended = spec.model_dump(mode="json"), study.identity if verb == EXTEND else None
    try:
        record = create_study(database, spec.name, values, 0, launched_with(), extends=extended)
    except StudyExistsError:
        record = find_study(database, spec.name)
        if record.budget and not read_attribute(database, record.study_id, attribute):
            raise _taken(study, spec, verb) from None
    wanted = {"study": identity_of(study), "settings": [asdict(setting) for setting in chosen]}
    kept = keep_first(database, record.study_id, attribute, wanted)
    if kept["study"] != wanted["study"]:
        raise _taken(study, spec, verb)
    return record, [Chosen(**setting) for setting in kept["settings"]]


def _taken(study: StudyRecord, spec: StudySpec, verb: str) -> StudyExistsError:
    return StudyExistsError(
        f"there is a study {spec.name!r} that does not {verb} this one; delete it to {verb} {study.name!r}"
    )


def spec_of_chosen(spec: StudySpec, chosen: list[Chosen], max_runs: int, **given: Any) -> StudySpec:
    """The spec of a study that runs chosen settings of another one: its space holds them.

    Each of its runs is made to its end and counts: nothing is pruned, and no frontier ends it. It is not the experiment
    of the literature that the study may be made from, whose settings are others.

    Args:
        spec: of the study whose settings they are.
        chosen: the settings.
        max_runs: how many runs it may have.
        given: its name and seed, and what else differs.
    """
    thresholds = {}
    for strategy in dict.fromkeys(setting.strategy for setting in chosen):
        values = [setting.threshold for setting in chosen if setting.strategy == strategy and setting.threshold]
        if values:
            limit = min(STRATEGIES[strategy].limit, LARGEST)
            thresholds[strategy] = (min(values) / MARGIN, min(max(values) * MARGIN, limit))
    learning_rates = [setting.learning_rate for setting in chosen]
    space = {
        "cells": list(dict.fromkeys(setting.cell for setting in chosen)),
        "strategies": list(dict.fromkeys(setting.strategy for setting in chosen)),
        "thresholds": thresholds,
        "learning_rate": (min(learning_rates), max(learning_rates)),
        "scale_to": {},
    }
    changes: dict[str, Any] = {
        **given,
        "preset": None,
        "like": None,
        "horizon": None,
        "pruner": "none",
        "frontier_width": None,
        "sampler": "random",
        "trials": max_runs,
        "seeds": 1,
        "space": spec.space.model_dump(mode="json") | space,
    }
    return parse_spec(spec.model_dump(mode="json") | changes)


def is_open(database: Database, confirmation: Confirmation) -> bool:
    """Whether runs that were put in have not ended."""
    counts = count_outcomes(database.engine, confirmation.record)
    return counts[REMAINING] + counts[RUNNING] > 0


def confirmation_results(database: Database, confirmation: Confirmation) -> tuple[pd.DataFrame, pd.DataFrame]:
    """How the chosen settings fared, see ``confirmation_table``, and the fresh runs, rows of ``trial_result``."""
    fresh = read_trials(database, confirmation.record.name)
    return confirmation_table(confirmation.chosen, fresh), fresh


def enqueue_round(database: Database, confirmation: Confirmation, width: float, max_runs: int) -> bool:
    """Put in the next runs, by what those that ended showed; False when nothing is left to do.

    When somebody else puts in a round at the same moment, theirs is the one.

    Args:
        database: that holds the study.
        confirmation: none of whose runs is open.
        width: that the interval of each setting's divergence rate is to have at most.
        max_runs: how many runs the confirmation may have in all.
    """
    record = confirmation.record
    table, _ = confirmation_results(database, confirmation)
    planned = plan_round(table, width, max_runs - record.budget)
    # In turn, so that a round that is cut off has told about each setting.
    places = sorted((run, place) for place, runs in planned.items() for run in range(runs))
    seed = int(record.spec["seed"])
    rows = [
        (confirmation.chosen[place], trial_seed(seed, record.budget + ordinal))
        for ordinal, (_, place) in enumerate(places)
    ]
    if rows:
        enqueue_trials(database.engine, record, rows)
    return bool(rows)


def identity_of(study: StudyRecord) -> dict[str, Any]:
    """What tells a study from a later one of the same name."""
    return {"study_id": study.study_id, "created_at": study.created_at.isoformat()}
