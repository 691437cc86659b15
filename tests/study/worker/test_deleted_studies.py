"""A worker whose study is deleted while it runs, and whose numbers SQLite would give to the next one."""

from collections.abc import Callable

import pytest

from gradstudy.storage.database import Database
from gradstudy.storage.errors import StudyDeletedError
from gradstudy.storage.progress import count_outcomes
from gradstudy.storage.results import TrialResult
from gradstudy.storage.studies import delete_study, find_study
from gradstudy.study.launch import create_or_resume
from gradstudy.study.spec.study_spec import StudySpec

Work = Callable[..., None]


class Replacing:
    """Deletes the study when its first trial has ended, and launches another one."""

    def __init__(self, db: Database, new: StudySpec) -> None:
        self._db = db
        self._new = new
        self.replaced = False

    def started(self, ordinal: int) -> None:
        pass

    def finished(self, ordinal: int, result: TrialResult) -> None:
        if not self.replaced:
            self.replaced = True
            with Database.open(self._db.url.render_as_string(hide_password=False)) as other:
                delete_study(other, "s")
                create_or_resume(other, self._new)
                study_id = find_study(other, self._new.name).study_id
                for _ in range(12):
                    other.optuna_storage.create_new_trial(study_id)

    def waiting(self, message: str) -> None:
        pass


@pytest.mark.parametrize("name", ["new", "s"])
@pytest.mark.parametrize("options", [{}, {"pruner": "median"}, {"sampler": "tpe"}])
def test_a_worker_of_a_deleted_study_stops_and_leaves_the_next_one_alone(
    db: Database, spec: StudySpec, work: Work, name: str, options: dict[str, str]
) -> None:
    old = spec.model_copy(update=options)
    with pytest.raises(StudyDeletedError, match="the study 's' was deleted, so its worker stops"):
        work(db, old, listener=Replacing(db, spec.model_copy(update={"name": name, "trials": 40})))
    new = find_study(db, name)
    assert count_outcomes(db.engine, new)["remaining"] == 40
    trials = db.optuna_storage.get_all_trials(new.study_id)
    assert [(trial.state.name, trial.params, trial.intermediate_values) for trial in trials] == [
        ("RUNNING", {}, {})
    ] * 12
