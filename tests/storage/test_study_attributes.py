from racing import keep_own_number, run_together

from gradstudy.storage.database import Database
from gradstudy.storage.studies import StudyRecord
from gradstudy.storage.study_attributes import keep_first, read_attribute, replace_attributes


def test_values_are_read_as_they_were_written(db: Database, study_id: int) -> None:
    replace_attributes(db, study_id, ["a"], {"a:0": "ä\\%_", "a:1": 2})
    assert db.optuna_storage.get_study_system_attrs(study_id) == {"a:0": "ä\\%_", "a:1": 2}
    assert read_attribute(db, study_id, "a:0") == "ä\\%_"
    assert read_attribute(db, study_id, "a") is None


def test_only_what_has_the_prefix_goes(db: Database, study_id: int) -> None:
    other = db.optuna_storage.create_new_study(db.optuna_storage.get_study_directions(study_id), "other")
    for id_ in (study_id, other):
        for key in ("a_1", "a_2", "ab1", "b"):
            db.optuna_storage.set_study_system_attr(id_, key, 0)
    replace_attributes(db, study_id, ["a_"], {"a_2": 1})
    assert db.optuna_storage.get_study_system_attrs(study_id) == {"a_2": 1, "ab1": 0, "b": 0}
    assert len(db.optuna_storage.get_study_system_attrs(other)) == 4


def test_the_first_value_is_kept_and_told_to_all(db: Database, study_id: int) -> None:
    assert keep_first(db, study_id, "a", [1]) == [1]
    assert keep_first(db, study_id, "a", [2]) == [1]
    assert keep_first(db, study_id, "b", None) is None
    assert db.optuna_storage.get_study_system_attrs(study_id) == {"a": [1], "b": None}


def test_of_processes_that_put_a_value_in_together_one_wins(db: Database, url: str, launched: StudyRecord) -> None:
    assert launched.name == "s"
    kept = run_together(4, keep_own_number, url)
    assert len({each for (each,) in kept}) == 1
