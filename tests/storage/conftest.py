import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from one_trial import begin_trial, claim_trial, record_trial

from gradstudy.storage.claims import Claim
from gradstudy.storage.database import Database
from gradstudy.storage.queue import SettingRow
from gradstudy.storage.recorder import Steps
from gradstudy.storage.results import Outcome, TrialResult
from gradstudy.storage.studies import StudyRecord, Versions, create_study
from gradstudy.storage.workers import register_worker

VERSIONS = Versions(gradstudy="0.1", optuna="5.0.0", torch="2.9")
SETTING = SettingRow(cell="lstm", strategy="norm", threshold=1.0, learning_rate=0.5, factors={"hidden_size": 32})


@pytest.fixture
def path(sqlite_url: str) -> Path:
    """A database file without studies."""
    return Path(sqlite_url.removeprefix("sqlite:///"))


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def backend(request: pytest.FixtureRequest) -> str:
    """Each kind of database in turn; a test that is for some only names them."""
    return str(request.param)


@pytest.fixture
def url(request: pytest.FixtureRequest, backend: str) -> str:
    """A database without studies."""
    return str(request.getfixturevalue(f"{backend}_url"))


@pytest.fixture
def empty_url(request: pytest.FixtureRequest, backend: str) -> str:
    """Where a database can be made."""
    return str(request.getfixturevalue(f"empty_{backend}_url"))


@pytest.fixture
def db(url: str) -> Iterator[Database]:
    with Database.open(url) as database:
        yield database


@pytest.fixture
def launched(db: Database) -> StudyRecord:
    return create_study(db, "s", {"task": "copy"}, 5, VERSIONS)


@pytest.fixture
def study_id(launched: StudyRecord) -> int:
    return launched.study_id


@pytest.fixture
def worker_id(db: Database) -> int:
    return register_worker(db.engine, "here", 17, "cpu")


@pytest.fixture
def claim_next(db: Database, launched: StudyRecord, worker_id: int) -> Callable[[], Claim]:
    """Claim the next trial, which must be there."""

    def claim_it() -> Claim:
        claim = claim_trial(db.engine, launched, worker_id, lambda ordinal: 1000 + ordinal)
        assert claim is not None
        return claim

    return claim_it


@pytest.fixture
def begin(db: Database, launched: StudyRecord, claim_next: Callable[[], Claim]) -> Callable[..., Claim]:
    """Claim a trial, ask Optuna and attach it."""

    def begin_it(setting: SettingRow = SETTING) -> Claim:
        claim = claim_next()
        return begin_trial(db.engine, claim, setting)

    return begin_it


@pytest.fixture
def run(db: Database, begin: Callable[..., Claim]) -> Callable[..., Claim]:
    """Begin a trial, record ``losses`` and finish it."""

    def run_it(outcome: str, losses: Any = (1.0, 2.0), setting: SettingRow = SETTING, **result: Any) -> Claim:
        claim = begin(setting)
        steps = Steps(loss=losses, grad_norm=losses, applied_norm=losses, learning_rate=setting.learning_rate)
        assert record_trial(db.engine, claim, TrialResult(outcome=Outcome(outcome), steps=len(losses), **result), steps)
        return claim

    return run_it


@pytest.fixture
def rows(db: Database) -> Callable[[str], list[Any]]:
    """What a statement gives."""

    def rows_of(sql: str) -> list[Any]:
        with db.engine.connect() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(sql)]

    return rows_of


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that everybody can write: pytest's own are closed to all but the owner."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        yield Path(name)


@pytest.fixture
def lock_out(folder: Path) -> Iterator[Callable[[Path], None]]:
    """Make something read-only, and give up root's rights to write all the same."""
    user = os.geteuid()

    def lock(item: Path) -> None:
        item.chmod(0o555)
        if user == 0:
            os.seteuid(65534)

    yield lock
    os.seteuid(user)
    folder.chmod(0o777)
