"""Claiming trials: however many workers claim at once, a study never has more trials than its budget."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Engine, Select, bindparam, case, func, insert, select, update

from gradstudy.storage.claims import Claim
from gradstudy.storage.clock import utc_now
from gradstudy.storage.errors import StudyDeletedError
from gradstudy.storage.optuna_rows import set_states
from gradstudy.storage.queue import SettingRow
from gradstudy.storage.schema import TRIAL, Study, Worker
from gradstudy.storage.studies import StudyRecord, is_study, number_of
from gradstudy.storage.transactions import reading, writing
from gradstudy.storage.workers import alive

NO_LIMIT = 2**31 - 1


OF_STUDY = TRIAL.c.study_id == bindparam("study_id")


def _counted(*conditions: ColumnElement[bool]) -> Select[int]:
    return select(func.count()).where(*conditions)


# Statements of every claim are made once: to make them takes longer than to run them, and others may wait.
STANDING = select(
    select(func.max(TRIAL.c.ordinal)).where(OF_STUDY, TRIAL.c.ordinal < bindparam("places")).scalar_subquery(),
    _counted(OF_STUDY, TRIAL.c.ordinal >= bindparam("places")).select_from(TRIAL).scalar_subquery(),
    _counted(OF_STUDY, TRIAL.c.outcome.is_(None)).select_from(TRIAL).scalar_subquery(),
    _counted(alive()).select_from(Worker).scalar_subquery(),
)
"""The attributes of a ``Standing``."""
CLAIMED = select(*TRIAL.c).where(OF_STUDY, TRIAL.c.ordinal.in_(bindparam("ordinals", expanding=True)))


@dataclass(frozen=True)
class Standing:
    """How far the claims of a study are.

    Attributes:
        last: the last ordinal before the sampler's places end.
        behind: how many trials lie behind these.
        begun: how many trials are open.
        living: how many workers are alive, of whatever study.
    """

    last: int | None
    behind: int
    begun: int
    living: int


def claim_trials(
    engine: Engine,
    study: StudyRecord,
    worker_id: int,
    seed_of: Callable[[int], int],
    *,
    wanted: int = 1,
    held: int = 0,
    workers: int = 1,
    replicates: int = 1,
    places: int = NO_LIMIT,
) -> list[Claim]:
    """Claim trials that were given back or enqueued, then the next ones of the budget, in one transaction.

    The next of the budget is the first replicate of a setting; the others are enqueued when it gets its setting.

    A worker never holds more than its share of the open trials: at the end of a study, those that are left are
    spread over all workers.

    Args:
        engine: of the database.
        study: which study.
        worker_id: who claims.
        seed_of: gives the seed of an ordinal; it fits in 63 bits.
        wanted: how many trials at most.
        held: how many open trials the worker has.
        workers: how many workers there are at least; those that are alive may be more.
        replicates: how many trials each setting has.
        places: of the budget that the sampler has; what lies behind them was enqueued.

    Returns:
        As many as there are for this worker, none where there is none.

    Raises:
        StudyDeletedError: the study is not there any more.
    """
    with writing(engine) as connection:
        # PostgreSQL lets those who take what waits pass each other; for others the study's row is the one queue.
        passing = engine.dialect.name == "postgresql"
        budget = _budget(connection, study, locked=not passing)
        waiting = _waiting(connection, study, wanted, passing=passing)
        if passing and len(waiting) < wanted:
            budget = _budget(connection, study, locked=True)
        now = _standing(connection, study.study_id, places)
        first = _first_unclaimed(now.last, replicates)
        left = min(places, budget - now.behind) - first
        taken, made = 0, 0
        while taken + made < wanted:
            unclaimed = left - made * replicates
            share = math.ceil((now.begun + made + unclaimed) / max(workers, now.living))
            if held + taken + made >= share:
                break
            if taken < len(waiting):
                taken += 1
            elif unclaimed > 0:
                made += 1
            else:
                break
        ordinals = [first + place * replicates for place in range(made)]
        _take(connection, study.study_id, waiting[:taken], worker_id)
        _put_in(connection, study.study_id, {ordinal: seed_of(ordinal) for ordinal in ordinals}, worker_id)
        return _read(connection, study, [*waiting[:taken], *ordinals])


def end_study(engine: Engine, study: StudyRecord, replicates: int = 1, places: int = NO_LIMIT) -> int:
    """Let no further setting of a study begin: its budget is what has been claimed or enqueued; return it.

    ``replicates`` is how many trials each setting has, ``places`` what of the budget the sampler has.

    Trials that run or were given back are still run to their end.

    Raises:
        StudyDeletedError: the study is not there any more.
    """
    with writing(engine) as connection:
        # A worker that makes claims holds this row until they are there, and so they are counted.
        _budget(connection, study, locked=True)
        now = _standing(connection, study.study_id, places)
        budget = _first_unclaimed(now.last, replicates) + now.behind
        connection.execute(update(Study).where(is_study(study)).values(budget=budget))
    return budget


def is_complete(engine: Engine, study: StudyRecord, replicates: int = 1, places: int = NO_LIMIT) -> bool:
    """Whether every trial of the budget has ended; it takes as long with a million of them as with ten.

    Raises:
        StudyDeletedError: the study is not there any more.
    """
    with reading(engine) as connection:
        budget = _budget(connection, study, locked=False)
        now = _standing(connection, study.study_id, places)
    return not now.begun and _first_unclaimed(now.last, replicates) >= min(places, budget - now.behind)


def _budget(connection: Connection, study: StudyRecord, *, locked: bool) -> int:
    """The budget; when ``locked``, nobody changes it or hands out places of it before the transaction ends."""
    query = select(Study.budget).where(is_study(study))
    budget: int | None = connection.scalar(query.with_for_update(key_share=True) if locked else query)
    if budget is None:
        raise StudyDeletedError(study.name)
    return budget


def _waiting(connection: Connection, study: StudyRecord, wanted: int, *, passing: bool) -> list[int]:
    """The ordinals of trials that were given back or enqueued; when ``passing``, those that nobody takes just now."""
    query = (
        select(TRIAL.c.ordinal)
        .where(TRIAL.c.study_id == number_of(study.identity), TRIAL.c.worker_id.is_(None), TRIAL.c.outcome.is_(None))
        .order_by(TRIAL.c.ordinal + 0)  # a bare column would have the index of all ordinals read for its order
        .limit(wanted)
    )
    return list(connection.scalars(query.with_for_update(skip_locked=True) if passing else query))


def _standing(connection: Connection, study_id: int, places: int) -> Standing:
    """Read each from an index."""
    return Standing(*connection.execute(STANDING, {"study_id": study_id, "places": places}).one())


def _first_unclaimed(last: int | None, replicates: int) -> int:
    """The first ordinal of a setting that no worker has had yet."""
    return 0 if last is None else (last // replicates + 1) * replicates


def _take(connection: Connection, study_id: int, ordinals: Sequence[int], worker_id: int) -> None:
    if ordinals:
        had_begun = TRIAL.c.started_at.is_not(None)
        connection.execute(
            update(TRIAL)
            .where(TRIAL.c.study_id == study_id, TRIAL.c.ordinal.in_(ordinals))
            .values(
                worker_id=worker_id,
                attempt=case((had_begun, TRIAL.c.attempt + 1), else_=TRIAL.c.attempt),
                started_at=case((had_begun, utc_now()), else_=None),
            )
        )


def _put_in(connection: Connection, study_id: int, seeds: dict[int, int], worker_id: int) -> None:
    if seeds:
        same = {"study_id": study_id, "worker_id": worker_id, "attempt": 1, "steps": 0}
        connection.execute(
            insert(TRIAL), [{**same, "ordinal": ordinal, "seed": seed} for ordinal, seed in seeds.items()]
        )


def _read(connection: Connection, study: StudyRecord, ordinals: Sequence[int]) -> list[Claim]:
    """The claims of these ordinals, in their order; Optuna is told of those that run again."""
    if not ordinals:
        return []
    found = connection.execute(CLAIMED, {"study_id": study.study_id, "ordinals": ordinals})
    by_ordinal = {row["ordinal"]: row for row in found.mappings()}
    rows = [by_ordinal[ordinal] for ordinal in ordinals]
    set_states(connection, [row["trial_id"] for row in rows if row["trial_id"] is not None], "RUNNING")
    kept = ("id", "study_id", "ordinal", "attempt", "worker_id", "trial_id", "seed", "losses")
    return [
        Claim(
            **{name: row[name] for name in kept},
            identity=study.identity,
            setting=None if row["cell"] is None else SettingRow.of({**row}),
        )
        for row in rows
    ]
