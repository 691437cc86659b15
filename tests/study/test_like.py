import optuna
import pandas as pd
import pytest
from simulated import simulated_study, simulated_trials

from gradstudy.storage.database import Database
from gradstudy.storage.errors import NotFoundError
from gradstudy.storage.frames import read_trials
from gradstudy.storage.studies import delete_study, find_study
from gradstudy.study.answer.confirmation_study import begin_confirmation, confirming_spec
from gradstudy.study.errors import SpecChangedError, SpecError
from gradstudy.study.frontier.found import found
from gradstudy.study.frontier.table import frontier
from gradstudy.study.launch import create_or_resume
from gradstudy.study.report.report import build_report
from gradstudy.study.search.from_spec import make_sampler
from gradstudy.study.search.space import suggest
from gradstudy.study.spec.parts import Like
from gradstudy.study.spec.study_spec import StudySpec, parse_spec, stored_spec


def like(spec: StudySpec, **given: object) -> StudySpec:
    values = spec.model_dump(mode="json", exclude_unset=True)
    return parse_spec({**values, "name": "b", "like": spec.name, **given})


def test_what_the_other_study_found_is_stored_and_stays_when_that_one_is_deleted(
    finished: Database, spec: StudySpec
) -> None:
    expected = found(read_trials(finished, "s"), "s")
    assert expected.frontiers
    record = create_or_resume(finished, like(spec))
    assert stored_spec(record).like == expected
    delete_study(finished, "s")
    assert create_or_resume(finished, like(spec)) == record
    with pytest.raises(SpecChangedError, match=r"like: s -> None;"):
        create_or_resume(finished, like(spec, like=None))


def test_a_stored_spec_makes_the_same_study_in_another_database(
    finished: Database, db: Database, spec: StudySpec
) -> None:
    stored = stored_spec(create_or_resume(finished, like(spec)))
    assert stored_spec(create_or_resume(db, stored)) == stored


def test_a_study_that_is_not_there_or_says_nothing_is_refused(finished: Database, spec: StudySpec) -> None:
    with pytest.raises(NotFoundError, match="there is no study 'x'"):
        create_or_resume(finished, like(spec, like="x"))
    create_or_resume(finished, like(spec, name="empty", like=None))
    for given in ({"like": "empty"}, {"space": {"strategies": ["zclip"]}}):
        with pytest.raises(SpecError, match="like must be a study whose runs tell of frontiers"):
            create_or_resume(finished, like(spec, **given))
    with pytest.raises(NotFoundError):
        find_study(finished, "b")


SPACE = {"cells": ["lstm"], "strategies": ["norm"], "learning_rate": [1e-2, 1e2], "thresholds": {"norm": [1.0, 3.16]}}
OTHER = simulated_trials(200, edges=(9, 9, -1.0)).query("threshold == 1")
"""Runs whose frontier is a decade below the middle of the range."""


@pytest.mark.parametrize("sampler", ["frontier", "auto"])
def test_the_search_looks_where_the_other_study_found_the_frontier(sampler: str) -> None:
    def rates(other: Like | None) -> pd.Series:
        spec = StudySpec.model_validate({"name": "n", "sampler": sampler, "trials": 64, "space": SPACE, "like": other})
        study = optuna.create_study(sampler=make_sampler(spec))
        for _ in range(24):
            trial = study.ask()
            setting = suggest(trial, spec)
            trial.set_user_attr("initial_validation_loss", 4.0)
            trial.set_constraint("divergence", -0.5 if setting.learning_rate < 0.1 else 2.0)
            study.tell(trial, 2.0 if setting.learning_rate < 0.1 else 4.0)
        return pd.Series([trial.params["learning_rate"] for trial in study.trials])

    alone, informed = rates(None), rates(found(OTHER, "o"))
    assert (alone[:8] == informed[:8]).all()  # those that are spread
    assert (alone != informed).any()


def test_the_report_says_on_what_its_frontiers_rest_and_its_answer_rests_on_the_studys_own_runs() -> None:
    trials = simulated_trials(40, edges=(0.8, 0.3, -0.2, -0.7))
    other = found(simulated_trials(400, edges=(0.9, 0.4, -0.1, -0.6), seed=1), "o")
    alone = build_report(simulated_study(), trials)
    report = build_report(simulated_study(like=other.model_dump()), trials)
    assert any("rest on what study 'o' had found, too, which fits these runs" in each for each in report.caveats)
    assert report.recommendation == alone.recommendation
    pd.testing.assert_frame_equal(report.frontiers, frontier(trials, other))


def test_the_report_says_so_where_the_other_study_does_not_fit() -> None:
    other = found(simulated_trials(300, edges=(-1.5, 1.5), seed=1), "o")
    report = build_report(simulated_study(like=other.model_dump()), simulated_trials(300, edges=(1.5, -1.5)))
    assert any("What study 'o' found does not fit these runs" in each for each in report.caveats)


def test_a_confirmation_is_like_no_other_study(finished: Database, spec: StudySpec) -> None:
    stored = stored_spec(create_or_resume(finished, like(spec)))
    chosen = begin_confirmation(finished, find_study(finished, "s"), 1, 8).chosen
    assert stored.like is not None
    assert confirming_spec(stored, chosen, 8).like is None
