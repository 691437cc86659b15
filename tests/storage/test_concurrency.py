from pathlib import Path

import optuna
from alembic import command
from racing import claim_all, make_database, run_together
from sqlalchemy import text

from gradstudy.storage.database import Database
from gradstudy.storage.migrate import config
from gradstudy.storage.studies import Versions, create_study

CLAIMERS = 6
CREATORS = 16


def test_processes_that_claim_together_share_the_budget(db: Database, url: str) -> None:
    create_study(db, "s", {}, 60, Versions(gradstudy="0", optuna="5", torch="2"))
    claimed = [ordinal for ordinals in run_together(CLAIMERS, claim_all, url) for ordinal in ordinals]
    assert sorted(claimed) == list(range(60))


def test_processes_that_create_together_make_one_database(empty_url: str, tmp_path: Path) -> None:
    assert run_together(CREATORS, make_database, empty_url) == [[1]] * CREATORS
    with Database.open(empty_url) as db:
        with db.engine.begin() as connection:
            command.check(config(connection))
            for history in ("alembic_version", "gradstudy_alembic_version", "version_info"):
                assert connection.scalar(text(f"SELECT COUNT(*) FROM {history}")) == 1
        study_id = create_study(db, "s", {}, 1, Versions(gradstudy="0", optuna="5", torch="2"))
        assert optuna.load_study(study_name="s", storage=db.optuna_storage)._study_id == study_id
    assert not list(tmp_path.glob("*.lock"))
