import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import optuna
import pytest
from one_trial import record_trial

from gradstudy.storage.claims import Claim
from gradstudy.storage.database import Database
from gradstudy.storage.errors import NotFoundError, StudyExistsError
from gradstudy.storage.recorder import OptunaAttributes, Steps
from gradstudy.storage.results import Outcome, TrialResult
from gradstudy.storage.studies import Versions, create_study, delete_study, find_study, list_studies

VERSIONS = Versions(gradstudy="0.1", optuna="5.0.0", torch="2.9")
SPEC = {"task": "copy", "learning_rate": [1e-3, 100.0], "größe": None}


def test_a_study_is_found_as_it_was_made(db: Database) -> None:
    made = create_study(db, "a study", SPEC, 40, VERSIONS)
    found = find_study(db, "a study")
    assert (found, found.name, found.budget) == (made, "a study", 40)
    assert (found.spec, found.versions) == (SPEC, VERSIONS)
    assert abs(datetime.now(UTC).replace(tzinfo=None) - found.created_at) < timedelta(minutes=1)


def test_optuna_minimizes_a_study_of_the_same_name(db: Database) -> None:
    create_study(db, "a", SPEC, 40, VERSIONS)
    study = optuna.load_study(study_name="a", storage=db.optuna_storage)
    assert study.direction == optuna.study.StudyDirection.MINIMIZE


def test_a_missing_study_is_reported_with_those_that_there_are(db: Database) -> None:
    with pytest.raises(NotFoundError) as caught:
        find_study(db, "c")
    assert str(caught.value) == f"there is no study 'c' in {db.display_url}; it holds no studies yet"
    for name in ("b", "a"):
        create_study(db, name, SPEC, 1, VERSIONS)
    with pytest.raises(NotFoundError, match=r"; there are: b, a$"):
        find_study(db, "c")


def test_a_name_is_used_once(db: Database) -> None:
    create_study(db, "a", SPEC, 40, VERSIONS)
    with pytest.raises(StudyExistsError, match=f"there is a study 'a' in {re.escape(db.display_url)} already"):
        create_study(db, "a", SPEC, 40, VERSIONS)
    assert [study.name for study in list_studies(db)] == ["a"]


def test_somebody_elses_optuna_study_is_not_taken_over(db: Database) -> None:
    optuna.create_study(storage=db.optuna_storage, study_name="used").ask()
    optuna.create_study(storage=db.optuna_storage, study_name="up", direction="maximize")
    for name in ("used", "up"):
        with pytest.raises(StudyExistsError, match=name):
            create_study(db, name, SPEC, 1, VERSIONS)


def test_a_launch_that_was_cut_off_can_be_repeated(db: Database) -> None:
    optuna.create_study(storage=db.optuna_storage, study_name="a")
    assert create_study(db, "a", SPEC, 1, VERSIONS) == find_study(db, "a")


def test_no_number_of_a_deleted_study_or_trial_is_used_again(db: Database) -> None:
    studies, trials = [], []
    for _ in range(3):
        studies.append(create_study(db, "a", SPEC, 1, VERSIONS))
        trials += [db.optuna_storage.create_new_trial(studies[-1].study_id) for _ in range(2)]
        delete_study(db, "a")
    assert len({study.study_id for study in studies}) == len({study.identity for study in studies}) == 3
    assert len(set(trials)) == 6


TABLES = (
    "gradstudy_study", "gradstudy_trial", "gradstudy_step", "studies", "study_directions", "trials",
    "trial_user_attributes", "trial_values",
)  # fmt: skip


def delete_through_gradstudy(db: Database) -> None:
    delete_study(db, "s")


def delete_through_bare_optuna(db: Database) -> None:
    storage = optuna.storages.RDBStorage(db.url.render_as_string(hide_password=False))
    optuna.delete_study(study_name="s", storage=storage)
    storage.engine.dispose()


@pytest.mark.parametrize("delete", [delete_through_gradstudy, delete_through_bare_optuna])
def test_a_deleted_study_leaves_nothing_behind(
    db: Database,
    begin: Callable[[], Claim],
    claim_next: Callable[[], Claim],
    rows: Callable[[str], list[Any]],
    delete: Callable[[Database], None],
) -> None:
    result = TrialResult(outcome=Outcome.DIVERGED, steps=1, objective=1.0)
    steps = Steps(loss=[1.0], grad_norm=1.0, applied_norm=1.0, learning_rate=0.5)
    assert record_trial(db.engine, begin(), result, steps, OptunaAttributes({"outcome": "diverged"}, {"c": 1.0}))
    claim_next()
    assert all(rows(f"SELECT * FROM {table}") for table in TABLES)
    delete(db)
    assert [table for table in TABLES if rows(f"SELECT * FROM {table}")] == []
    assert len(rows("SELECT * FROM gradstudy_worker")) == 1
