"""The sums of trials that have ended against a count of all rows, and processes that end trials at the same time."""

import random
from collections.abc import Callable
from contextlib import suppress

from one_trial import begin_trial, claim_trial, record_trial
from sqlalchemy import text

from gradstudy.storage.claims import give_back
from gradstudy.storage.database import Database
from gradstudy.storage.ended import NAMES, read_ended
from gradstudy.storage.errors import NotFoundError, UnavailableError
from gradstudy.storage.exclusion import exclude_trials, include_trials
from gradstudy.storage.queue import SettingRow
from gradstudy.storage.results import EXCLUDED, Outcome, TrialResult
from gradstudy.storage.studies import find_study
from gradstudy.storage.transactions import reading
from gradstudy.storage.workers import register_worker

SETTING = SettingRow(cell="lstm", strategy="norm", threshold=1.0, learning_rate=0.1)
ROWS = text("""
SELECT s.study_id, CASE WHEN t.excluded IS NOT NULL THEN 'excluded' ELSE t.outcome END, COUNT(t.id)
FROM gradstudy_study s LEFT JOIN gradstudy_trial t ON t.study_id = s.study_id
GROUP BY 1, 2
""")


def assert_sums_are_counts(db: Database) -> None:
    """The sums of every study are what its rows say."""
    with reading(db.engine) as connection:
        sums = {study: ended.counts for study, ended in read_ended(connection).items()}
        counted: dict[int, dict[str, int]] = {}
        for study, name, count in connection.execute(ROWS):
            counted.setdefault(study, dict.fromkeys(NAMES, 0)).update({name: count} if name else {})
    assert sums == counted


def end_trials(url: str, seed: int) -> None:
    """Claim, begin, give back, end, exclude and include trials of study s by chance, as long as there are any."""
    draw = random.Random(seed)
    with Database.open(url) as db:
        study = find_study(db, "s")
        worker = register_worker(db.engine, "here", seed, "cpu")
        while claim := claim_trial(db.engine, study, worker, int):
            claim = begin_trial(db.engine, claim, SETTING)
            if draw.random() < 0.2:
                give_back(db.engine, claim)
                continue
            outcome = draw.choice(list(Outcome))
            result = TrialResult(outcome=outcome, steps=0, objective=1.0)
            again(lambda claim=claim, result=result: record_trial(db.engine, claim, result))  # type: ignore[misc]
            number = db.optuna_storage.get_trial(claim.trial_id or 0).number
            if draw.random() < 0.5:
                again(lambda number=number: exclude_trials(db, study, [number], EXCLUDED))  # type: ignore[misc]
                if draw.random() < 0.5:
                    again(lambda number=number: include_trials(db, study, [number]))  # type: ignore[misc]


def again(do: Callable[[], object]) -> None:
    """Do something, as a worker does, until it is done: MySQL may end one of two transactions that meet."""
    for _ in range(20):
        with suppress(UnavailableError):
            do()
            return
    do()


def exclude_and_include(url: str) -> list[int]:
    """Exclude and include the same trials as others do at this moment; how often each was done."""
    done = [0, 0]
    with Database.open(url) as db:
        study = find_study(db, "s")
        for _ in range(10):
            exclude_trials(db, study, [0, 1], "why")
            done[0] += 1
            try:
                include_trials(db, study, [1, 0])
                done[1] += 1
            except NotFoundError:  # another was faster
                pass
    return done
