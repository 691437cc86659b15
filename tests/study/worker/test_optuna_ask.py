import math
from collections.abc import Callable

import optuna
import pytest
from optuna.study._constrained_optimization import _CONSTRAINTS_KEY
from optuna.trial import FrozenTrial, TrialState

from gradstudy.storage.database import Database
from gradstudy.study.launch import create_or_resume
from gradstudy.study.search.from_spec import make_sampler
from gradstudy.study.search.space import CONSTRAINT, Setting, suggest
from gradstudy.study.spec.study_spec import StudySpec
from gradstudy.study.worker.optuna_ask import Place, ask

States = Callable[[Database], list[str]]


def stored(trial: FrozenTrial) -> tuple[object, ...]:
    return trial.number, trial.state, trial.params, trial.distributions, trial.user_attrs


def by_our_calls(study: optuna.Study, spec: StudySpec, places: range) -> list[tuple[Setting, int]]:
    asked = ask(study, spec, [Place(place) for place in places])
    return [(setting, study._storage.create_new_trial(study._study_id, trial)) for setting, trial in asked]


def by_optunas(study: optuna.Study, spec: StudySpec, places: range) -> list[tuple[Setting, int]]:
    trials = (study.ask() for _ in places)  # the next one knows the setting of the one before
    return [(suggest(trial, spec), trial._trial_id) for trial in trials]


@pytest.mark.parametrize("group", [1, 3])
@pytest.mark.parametrize("sampler", ["qmc", "random", "auto", "tpe", "frontier"])
def test_asking_makes_the_trials_that_optuna_would_make(
    new_db: Callable[[], Database], spec: StudySpec, sampler: str, group: int
) -> None:
    """The trials of a group are asked for one after the other, and end together."""
    made = []
    for ours in (True, False):
        db = new_db()
        create_or_resume(db, spec)
        chosen = make_sampler(spec.model_copy(update={"sampler": sampler}))
        study = optuna.load_study(study_name="s", storage=db.optuna_storage, sampler=chosen)
        for first in range(0, 15, group):  # more than the random ones with which TPE begins
            begun = (by_our_calls if ours else by_optunas)(study, spec, range(first, first + group))
            for setting, trial_id in begun:
                loss = math.log(setting.learning_rate) ** 2
                db.optuna_storage.set_trial_system_attr(trial_id, f"{_CONSTRAINTS_KEY}:{CONSTRAINT}", loss - 4)
                db.optuna_storage.set_trial_state_values(trial_id, TrialState.COMPLETE, [loss])
        made.append([stored(trial) for trial in study.get_trials()])
    assert made[0] == made[1]
    assert len({str(trial) for trial in made[0]}) == 15


def test_a_trial_is_that_of_its_place_whatever_its_number(db: Database, spec: StudySpec) -> None:
    create_or_resume(db, spec)
    study = optuna.load_study(study_name="s", storage=db.optuna_storage, sampler=make_sampler(spec))
    ((seventh, trial),) = ask(study, spec, [Place(7)])
    db.optuna_storage.create_new_trial(study._study_id, trial)
    assert study.trials[0].number == 0
    for _ in range(6):
        study.ask()
    assert suggest(study.ask(), spec) == seventh


class Failing(optuna.samplers.RandomSampler):
    def sample_independent(self, *_: object) -> float:
        raise RuntimeError("no idea")


def test_nothing_is_stored_of_a_trial_whose_sampler_fails(db: Database, spec: StudySpec, states: States) -> None:
    create_or_resume(db, spec)
    study = optuna.load_study(study_name="s", storage=db.optuna_storage, sampler=Failing())
    with pytest.raises(RuntimeError, match="no idea"):
        ask(study, spec, [Place(0)])
    assert states(db) == []
