from pathlib import Path

import optuna
import pytest
from alembic import command
from one_trial import claim_trial
from racing import begin_all, claim_all, make_database, run_together
from sqlalchemy import insert, select, text
from sqlalchemy.exc import InternalError

from gradstudy.storage.database import Database
from gradstudy.storage.errors import UnavailableError
from gradstudy.storage.migrate import config
from gradstudy.storage.postgresql import IDLE_SECONDS
from gradstudy.storage.schema import Trial
from gradstudy.storage.studies import Versions, create_study
from gradstudy.storage.transactions import writing
from gradstudy.storage.workers import register_worker

CLAIMERS = 6
CREATORS = 16


def test_processes_that_claim_together_share_the_budget(db: Database, url: str) -> None:
    create_study(db, "s", {}, 60, Versions(gradstudy="0", optuna="5", torch="2"))
    claimed = [ordinal for ordinals in run_together(CLAIMERS, claim_all, url) for ordinal in ordinals]
    assert sorted(claimed) == list(range(60))


def test_trials_that_begin_together_have_numbers_of_their_own(db: Database, url: str) -> None:
    create_study(db, "s", {}, 60, Versions(gradstudy="0", optuna="5", torch="2"))
    numbers = [number for begun in run_together(CLAIMERS, begin_all, url) for number in begun]
    assert sorted(numbers) == list(range(60))


def test_processes_that_create_together_make_one_database(empty_url: str, tmp_path: Path) -> None:
    assert run_together(CREATORS, make_database, empty_url) == [[1]] * CREATORS
    with Database.open(empty_url) as db:
        with db.engine.begin() as connection:
            command.check(config(connection))
            for history in ("alembic_version", "gradstudy_alembic_version", "version_info"):
                assert connection.scalar(text(f"SELECT COUNT(*) FROM {history}")) == 1
        study = create_study(db, "s", {}, 1, Versions(gradstudy="0", optuna="5", torch="2"))
        assert optuna.load_study(study_name="s", storage=db.optuna_storage)._study_id == study.study_id
    assert not list(tmp_path.glob("*.lock"))


def test_a_worker_that_is_paused_in_a_transaction_keeps_nobody_waiting_for_long(postgresql_url: str) -> None:
    with Database.open(postgresql_url) as paused, Database.open(postgresql_url) as other:
        study = create_study(paused, "s", {}, 3, Versions(gradstudy="0", optuna="5", torch="2"))
        worker = register_worker(other.engine, "here", 1, "cpu")
        transaction = writing(paused.engine)
        connection = transaction.__enter__()
        connection.execute(insert(Trial).values(study_id=study.study_id, ordinal=0, attempt=1, seed=0, steps=0))
        assert connection.scalar(text("SHOW idle_in_transaction_session_timeout")) == f"{IDLE_SECONDS}s"
        connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 1000"))  # from here on it is paused
        claim = claim_trial(other.engine, study, worker, int)  # waits for what the first will do
        assert claim is not None
        assert claim.ordinal == 0
        with pytest.raises(InternalError) as error:
            connection.execute(select(1))
        with pytest.raises(UnavailableError, match="idle-in-transaction timeout"):
            transaction.__exit__(type(error.value), error.value, None)
