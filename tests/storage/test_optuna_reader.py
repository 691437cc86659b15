import optuna
import pytest
from optuna.exceptions import StorageInternalError

from gradstudy.storage.database import Database
from gradstudy.storage.optuna_reader import reading_storage


def test_who_only_reads_sees_what_others_write(db: Database, study_id: int) -> None:
    with reading_storage(db) as storage:
        assert optuna.load_study(study_name="s", storage=storage).trials == []
        db.optuna_storage.create_new_trial(study_id)
        assert len(storage.get_all_trials(study_id)) == 1


@pytest.mark.sampled
def test_the_database_refuses_what_a_reader_would_change(db: Database, study_id: int) -> None:
    with reading_storage(db) as storage:
        with pytest.raises(StorageInternalError):
            storage.delete_study(study_id)
        with pytest.raises(StorageInternalError):
            storage.create_new_trial(study_id)
        with pytest.raises(StorageInternalError):
            storage.set_study_user_attr(study_id, "key", 1)
    assert db.optuna_storage.get_all_trials(study_id) == []
    assert db.optuna_storage.get_study_user_attrs(study_id) == {}


def test_a_reader_does_not_wait_for_a_writer(db: Database, study_id: int) -> None:
    with reading_storage(db) as storage, db.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE gradstudy_study SET budget = 9")
        assert storage.get_study_name_from_id(study_id) == "s"
