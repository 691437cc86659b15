"""Studies that were launched before the rule of divergence had a version keep the first one."""

from dataclasses import replace

import pytest
from simulated import appraised, frame_of, simulated_study, simulated_trials

from gradstudy.storage.database import Database
from gradstudy.storage.studies import StudyRecord, find_study
from gradstudy.study.answer.confirmation_plan import choose
from gradstudy.study.answer.confirmation_study import confirming_spec
from gradstudy.study.launch import create_or_resume
from gradstudy.study.report.comparison import Comparison
from gradstudy.study.report.report import build_report
from gradstudy.study.spec.study_spec import StudySpec, parse_spec, stored_spec

OLD = {"half_life": 10.0, "blow_up": 5.0, "no_recovery_above": 1.25}


@pytest.fixture
def study() -> StudyRecord:
    record = simulated_study()
    return replace(record, spec=record.spec | {"divergence": OLD})


def test_its_spec_has_the_first_rule_with_its_constants(study: StudyRecord) -> None:
    rule = stored_spec(study).divergence
    assert (rule.version, rule.no_recovery_above) == (1, 1.25)


def test_its_confirmation_is_judged_as_it_was(study: StudyRecord) -> None:
    trials = simulated_trials(60)
    chosen = choose(appraised(trials), trials, 1)
    assert confirming_spec(stored_spec(study), chosen, 40).divergence == stored_spec(study).divergence


def test_what_to_launch_next_can_be_launched(study: StudyRecord) -> None:
    stalled = frame_of([{"outcome": "stalled"}] * 3)
    following = build_report(study, stalled).follow_up
    assert following is not None
    assert following.spec is not None
    assert parse_spec(following.spec).divergence == stored_spec(study).divergence


def test_it_is_compared_with_a_study_of_the_second_rule(study: StudyRecord) -> None:
    trials = simulated_trials(20)
    compared = Comparison(build_report(study, trials), build_report(simulated_study("new"), trials))
    assert ("divergence.version", "1", "2") in compared.spec_differences


def test_the_same_command_resumes_it(db: Database, spec: StudySpec) -> None:
    old = spec.model_copy(update={"divergence": spec.divergence.model_copy(update={"version": 1})})
    create_or_resume(db, old)
    assert create_or_resume(db, spec) == find_study(db, spec.name)
    assert stored_spec(find_study(db, spec.name)).divergence.version == 1
