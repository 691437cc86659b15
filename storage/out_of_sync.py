"""Trials that gradstudy and Optuna see differently, because a worker died between two writes."""

from collections.abc import Callable
from dataclasses import fields

from sqlalchemy import Engine, String, cast, exists, or_, select

from gradstudy.storage.optuna_internals import TRIALS
from gradstudy.storage.results import TrialResult
from gradstudy.storage.schema import Trial, Worker
from gradstudy.storage.studies import StudyRecord, number_of
from gradstudy.storage.transactions import reading
from gradstudy.storage.workers import alive, visible_from

# The state is a type of its own in PostgreSQL, which compares with no string.
_STATE = cast(TRIALS.c.state, String(8))


def untold_results(
    engine: Engine, study: StudyRecord, process_space: str | None, is_alive: Callable[[int], bool]
) -> dict[int, TrialResult]:
    """The results, by ``trial_id``, that Optuna was never told: the trial is open there, and its worker is dead.

    Args:
        engine: of the database.
        study: which study.
        process_space: whose processes ``is_alive`` can see; elsewhere a worker is dead that nobody has seen for long.
        is_alive: whether the process of a pid runs; it may be about to tell.
    """
    names = [field.name for field in fields(TrialResult)]
    query = (
        select(TRIALS.c.trial_id, Worker.pid, alive().label("seen"), *(getattr(Trial, name) for name in names))
        .join(TRIALS, TRIALS.c.trial_id == Trial.trial_id)
        .join(Worker, Worker.worker_id == Trial.worker_id)
        .where(
            Trial.study_id == number_of(study.identity),
            Trial.outcome.is_not(None),
            or_(visible_from(process_space), ~alive()),
            _STATE.in_(["RUNNING", "WAITING"]),
        )
        .order_by(Trial.ordinal)
    )
    with reading(engine) as connection:
        rows = connection.execute(query).mappings().all()
    dead = [row for row in rows if not row["seen"] or not is_alive(row["pid"])]
    return {row["trial_id"]: TrialResult(**{name: row[name] for name in names}) for row in dead}


def orphaned_trials(engine: Engine, study: StudyRecord) -> list[int]:
    """The ``trial_id`` of each trial that runs in Optuna without a row here that it is attached to.

    Earlier versions made a trial there before they attached it here, and a worker may have been lost in between.
    """
    attached = exists().where(Trial.trial_id == TRIALS.c.trial_id)
    query = (
        select(TRIALS.c.trial_id)
        .where(TRIALS.c.study_id == number_of(study.identity), _STATE == "RUNNING", ~attached)
        .order_by(TRIALS.c.trial_id)
    )
    with reading(engine) as connection:
        return list(connection.scalars(query))
