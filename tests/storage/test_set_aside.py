"""Studies that are left alone for a while, on every kind of database."""

from gradstudy.storage.database import Database
from gradstudy.storage.out_of_sync import orphaned_trials, untold_results
from gradstudy.storage.set_aside import Reason, may_try_again, reasons, set_aside, take_back
from gradstudy.storage.studies import StudyRecord

REASON = Reason("here", "its file is gone", None)


def test_once_a_minute_has_passed_one_of_those_who_ask_tries_again(db: Database, launched: StudyRecord) -> None:
    set_aside(db.engine, launched, REASON)
    assert reasons(db.engine) == {launched.study_id: [REASON]}
    assert not may_try_again(db.engine, launched, "here")
    with db.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE gradstudy_set_aside SET since = '2001-01-01 00:00:00.000000'")
    assert not may_try_again(db.engine, launched, "elsewhere")
    assert [may_try_again(db.engine, launched, "here") for _ in range(2)] == [True, False]
    take_back(db.engine, launched, "here")
    assert reasons(db.engine) == {}


def test_a_trial_that_only_optuna_has_is_found(db: Database, launched: StudyRecord) -> None:
    trial = db.optuna_storage.create_new_trial(launched.study_id)
    assert untold_results(db.engine, launched, None, lambda pid: True) == {}
    assert orphaned_trials(db.engine, launched) == [trial]
