"""Whoever asks for the next rung, there is one, with the runs that its budget pays."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from one_trial import begin_trial, claim_trial, record_trial
from racing import begin_next_rung, run_together

from gradstudy.storage.database import Database
from gradstudy.storage.queue import SettingRow
from gradstudy.storage.results import Outcome, TrialResult
from gradstudy.storage.studies import StudyRecord, find_study, list_extensions, list_studies
from gradstudy.storage.workers import register_worker
from gradstudy.study.horizon import course
from gradstudy.study.horizon.course import is_over, next_rung, rungs_of, set_rungs, stretches
from gradstudy.study.launch import create_or_resume
from gradstudy.study.spec.rungs import wanted_rungs
from gradstudy.study.spec.study_spec import parse_spec

SPEC = {"name": "s", "task": "copy", "steps": 10, "trials": 64, "sampler": "qmc", "space": {"strategies": ["none"]}}
TRAINED = TrialResult(
    outcome=Outcome.TRAINED, steps=10, initial_loss=3.0, initial_validation_loss=3.0, validation_loss=2.0, objective=2.0
)


@pytest.fixture
def db(sqlite_url: str) -> Iterator[Database]:
    with Database.open(sqlite_url) as database:
        yield database


def end_all(db: Database, study: StudyRecord, outcome: Outcome = Outcome.TRAINED) -> None:
    """Claim every trial of a study that is left, and say that it ended; nothing is trained."""
    worker = register_worker(db.engine, "here", 1, "cpu")
    while claim := claim_trial(db.engine, study, worker, int):
        rate = 0.1 * 1.05**claim.ordinal
        setting = SettingRow(cell="gru", strategy="none", threshold=None, learning_rate=rate)
        claim = begin_trial(db.engine, claim, claim.setting or setting)
        assert record_trial(
            db.engine, claim, replace(TRAINED, outcome=outcome, validation_loss=2 + 0.01 * claim.ordinal)
        )


def launched(db: Database, **given: object) -> StudyRecord:
    return create_or_resume(db, parse_spec(SPEC | given))


SERVERS = [pytest.param(name, marks=pytest.mark.soak) for name in ("postgresql", "mariadb")]


@pytest.mark.parametrize("backend", ["sqlite", *SERVERS])
def test_of_processes_that_begin_a_rung_together_one_does(request: pytest.FixtureRequest, backend: str) -> None:
    url = str(request.getfixturevalue(f"{backend}_url"))
    with Database.open(url) as db:
        study = launched(db, horizon=160)
        end_all(db, study)
        begun = run_together(4, begin_next_rung, url)
        [longer] = list_extensions(db, study)
        assert begun == [[longer.study_id, longer.budget]] * 4
        assert longer.budget == 16  # two settings, and 16 runs of 40 steps are paid
        end_all(db, longer)
        assert len({tuple(each) for each in run_together(4, begin_next_rung, url)}) == 1
        assert [each.spec["steps"] for each in list_extensions(db, study)] == [40, 160]


def test_a_rung_begins_when_all_runs_before_it_have_ended(db: Database) -> None:
    study = launched(db, horizon=160)
    assert next_rung(db, study) is None
    assert [(each.steps, each.runs, each.record is None) for each in stretches(db, study)] == [
        (10, 64, False), (40, 16, True), (160, 4, True)
    ]  # fmt: skip
    end_all(db, study)
    first = next_rung(db, study)
    assert first is not None
    assert (first.steps, first.runs) == (40, 8)
    assert next_rung(db, study) == first
    end_all(db, first.record)
    last = next_rung(db, study)
    assert last is not None
    assert last.steps == 160
    assert not is_over(db, stretches(db, study))
    end_all(db, last.record)
    assert next_rung(db, study) is None
    assert is_over(db, stretches(db, study))


@pytest.mark.parametrize(
    "step", ["study.answer.confirmation_study.keep_first", "study.horizon.extension.enqueue_trials"]
)
def test_a_beginning_that_was_cut_off_goes_on(db: Database, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    study = launched(db, horizon=160)
    end_all(db, study)

    def killed(*given: object, **named: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(f"gradstudy.{step}", killed)
        with pytest.raises(KeyboardInterrupt):
            next_rung(db, study)
    assert [each.budget for each in list_extensions(db, study)] == [0]
    assert len(stretches(db, study)) == 3
    found = next_rung(db, study)
    assert found is not None
    assert found.record.budget == 16
    assert len(list_studies(db)) == 2


def test_where_nothing_trained_nothing_is_trained_longer(db: Database) -> None:
    study = launched(db, horizon=160)
    end_all(db, study, Outcome.DIVERGED)
    assert next_rung(db, study) is None
    assert not is_over(db, stretches(db, study))


def test_rungs_that_were_asked_for_come_before_those_of_the_horizon(db: Database) -> None:
    study = launched(db, horizon=160)
    assert [rung.steps for rung in rungs_of(db, study)] == [40, 160]
    set_rungs(db, study, wanted_rungs(10, 50, top=1, runs=2))
    assert [rung.steps for rung in rungs_of(db, study)] == [50]
    end_all(db, study)
    extension = next_rung(db, study)
    assert extension is not None
    assert (extension.steps, len(extension.chosen), extension.runs) == (50, 2, 2)
    set_rungs(db, study, course.horizon_rungs(study))
    assert [rung.steps for rung in rungs_of(db, study)] == [40, 160]


def test_a_study_without_a_horizon_has_no_rungs(db: Database) -> None:
    study = launched(db)
    end_all(db, study)
    assert next_rung(db, find_study(db, "s")) is None
    assert is_over(db, stretches(db, study))
