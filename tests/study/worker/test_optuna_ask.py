import math
from collections.abc import Callable

import optuna
import pytest
from optuna.study._constrained_optimization import _CONSTRAINTS_KEY

from gradstudy.storage.database import Database
from gradstudy.study.launch import create_or_resume
from gradstudy.study.search.from_spec import make_sampler
from gradstudy.study.search.space import CONSTRAINT, suggest
from gradstudy.study.spec.study_spec import StudySpec
from gradstudy.study.worker.optuna_ask import ask

States = Callable[[Database], list[str]]


def stored(trial: optuna.trial.FrozenTrial) -> tuple[object, ...]:
    return trial.state, trial.params, trial.distributions, trial.user_attrs


@pytest.mark.parametrize("sampler", ["qmc", "random", "tpe", "frontier"])
def test_asking_makes_the_trial_that_optuna_would_make(
    new_db: Callable[[], Database], spec: StudySpec, sampler: str
) -> None:
    made = []
    for ours in (True, False):
        db = new_db()
        create_or_resume(db, spec)
        chosen = make_sampler(spec.model_copy(update={"sampler": sampler}))
        study = optuna.load_study(study_name="s", storage=db.optuna_storage, sampler=chosen)
        for ordinal in range(14):  # more than the random ones with which TPE begins
            if ours:
                setting, trial_id = ask(study, spec, ordinal)
            else:
                trial = study.ask()
                setting, trial_id = suggest(trial, spec), trial._trial_id
            loss = math.log(setting.learning_rate) ** 2
            db.optuna_storage.set_trial_system_attr(trial_id, f"{_CONSTRAINTS_KEY}:{CONSTRAINT}", loss - 4)
            db.optuna_storage.set_trial_state_values(trial_id, optuna.trial.TrialState.COMPLETE, [loss])
        made.append([stored(trial) for trial in study.get_trials()])
    assert made[0] == made[1]
    assert len({str(trial) for trial in made[0]}) == 14


def test_a_trial_is_that_of_its_place_whatever_its_number(db: Database, spec: StudySpec) -> None:
    create_or_resume(db, spec)
    study = optuna.load_study(study_name="s", storage=db.optuna_storage, sampler=make_sampler(spec))
    seventh, trial_id = ask(study, spec, 7)
    assert db.optuna_storage.get_trial(trial_id).number == 0
    for _ in range(6):
        study.ask()
    assert suggest(study.ask(), spec) == seventh


class Failing(optuna.samplers.RandomSampler):
    def sample_independent(self, *_: object) -> float:
        raise RuntimeError("no idea")


def test_a_trial_whose_sampler_fails_has_failed(db: Database, spec: StudySpec, states: States) -> None:
    create_or_resume(db, spec)
    study = optuna.load_study(study_name="s", storage=db.optuna_storage, sampler=Failing())
    with pytest.raises(RuntimeError, match="no idea"):
        ask(study, spec, 0)
    assert states(db) == ["FAIL"]
