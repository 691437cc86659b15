from collections.abc import Callable

import pandas as pd
import pytest

from gradstudy.storage.database import Database
from gradstudy.storage.errors import StudyExistsError
from gradstudy.storage.frames import read_trials
from gradstudy.storage.studies import create_study, delete_study, find_study
from gradstudy.study.answer.confirmation_plan import further_runs
from gradstudy.study.answer.confirmation_study import (
    Confirmation,
    begin_confirmation,
    confirmation_results,
    confirmed_study,
    enqueue_round,
    find_confirmation,
    is_open,
)
from gradstudy.study.errors import NothingToConfirmError
from gradstudy.study.launch import create_or_resume, launched_with
from gradstudy.study.report.report import read_report
from gradstudy.study.spec.study_spec import StudySpec, stored_spec

Work = Callable[..., None]


def begin(db: Database, top: int = 1) -> Confirmation:
    report = read_report(db, "s")
    return begin_confirmation(db, report.study, top, 40)


def again(db: Database) -> Confirmation:
    found = find_confirmation(db, find_study(db, "s"))
    assert found is not None
    return found


def test_a_confirmation_is_a_study_of_its_own_with_fresh_seeds_and_only_the_chosen_settings(
    finished: Database, work: Work
) -> None:
    before = read_trials(finished, "s")
    confirmation = begin(finished, top=2)
    assert enqueue_round(finished, confirmation, 1.0, 30) is False  # any interval is that narrow
    assert enqueue_round(finished, confirmation, 0.2, 18)
    work(finished, stored_spec(again(finished).record))
    fresh = read_trials(finished, "s-confirm")
    settings = ["cell", "strategy", "threshold", "learning_rate"]
    chosen = pd.DataFrame([vars(setting) for setting in confirmation.chosen])[settings].astype({"threshold": float})
    assert len(chosen) == 3 + 3 + 1
    found = fresh[settings].drop_duplicates()
    pd.testing.assert_frame_equal(found.merge(chosen, on=settings)[settings], found.reset_index(drop=True))
    assert len(fresh) == 18
    assert not set(fresh["seed"]) & set(before["seed"])
    pd.testing.assert_frame_equal(read_trials(finished, "s"), before)


def test_a_confirmation_goes_on_where_it_was_stopped_until_its_runs_are_used_up(finished: Database, work: Work) -> None:
    begin(finished)
    budgets = []
    while is_open(finished, again(finished)) or enqueue_round(finished, again(finished), 0.4, 40):
        confirmation = again(finished)
        budgets.append(confirmation.record.budget)
        work(finished, stored_spec(confirmation.record), slots=8)
    assert budgets[0] == min(40, 4 * further_runs(0, 0, 4, 0.4))
    assert budgets == sorted(budgets)
    assert budgets[-1] <= 40
    table, fresh = confirmation_results(finished, again(finished))
    assert table["runs"].sum() == len(fresh) == budgets[-1]
    report = read_report(finished, "s")
    assert report.recommendation is not None
    assert report.recommendation.evidence.fresh is not None
    assert report.follow_up is None
    assert len(report.trials) == 12


def test_the_report_waits_until_the_runs_that_were_put_in_have_ended(finished: Database) -> None:
    enqueue_round(finished, begin(finished), 0.2, 40)
    report = read_report(finished, "s")
    assert report.recommendation is not None
    assert not report.recommendation.evidence.confirmed
    assert report.confirmation.empty


def test_a_round_is_put_in_once(finished: Database) -> None:
    confirmation = begin(finished)
    assert enqueue_round(finished, confirmation, 0.2, 40)
    enqueue_round(finished, confirmation, 0.2, 40)  # somebody else, who saw no runs either
    assert again(finished).record.budget == 40


def test_a_study_of_the_same_name_later_has_no_part_in_an_old_confirmation(finished: Database, spec: StudySpec) -> None:
    begin(finished)
    delete_study(finished, "s")
    assert find_confirmation(finished, create_or_resume(finished, spec)) is None


def test_a_start_that_was_cut_off_is_taken_over(finished: Database) -> None:
    create_study(finished, "s-confirm", find_study(finished, "s").spec | {"name": "s-confirm"}, 0, launched_with())
    assert begin(finished).record.name == "s-confirm"


def test_a_name_that_is_taken_is_refused(finished: Database, spec: StudySpec) -> None:
    create_or_resume(finished, spec.model_copy(update={"name": "s-confirm"}))
    with pytest.raises(StudyExistsError, match="does not confirm this one"):
        begin(finished)


def test_what_never_trained_and_confirmations_themselves_cannot_be_confirmed(db: Database, spec: StudySpec) -> None:
    create_or_resume(db, spec)
    with pytest.raises(NothingToConfirmError, match="no trial that trained"):
        begin(db)


def test_runs_of_a_confirmation_of_a_pruned_study_all_count(finished: Database, work: Work) -> None:
    change = "json_set(spec, '$.pruner', 'median', '$.frontier_width', 0.5, '$.preset', 'regression')"
    with finished.engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE gradstudy_study SET spec = {change}")
    spec = stored_spec(begin(finished).record)
    assert (spec.pruner, spec.frontier_width, spec.preset) == ("none", None, None)
    enqueue_round(finished, again(finished), 0.2, 30)
    work(finished, spec, slots=8)
    table, fresh = confirmation_results(finished, again(finished))
    assert table["runs"].sum() == len(fresh) == 30


@pytest.mark.parametrize("length", [92, 93, 100])
def test_every_legal_name_can_be_confirmed(finished: Database, spec: StudySpec, work: Work, length: int) -> None:
    names = ["a" * (length - 1) + end for end in "xy"]
    records = []
    for name in names:
        work(finished, spec.model_copy(update={"name": name}), slots=8)
        report = read_report(finished, name)
        begin_confirmation(finished, report.study, 1, 40)
        confirmation = find_confirmation(finished, report.study)
        assert confirmation is not None
        confirmed = confirmed_study(finished, confirmation.record)
        assert confirmed is not None
        assert confirmed.name == name
        records.append(confirmation.record)
    confirming = [record.name for record in records]
    assert len(set(confirming)) == 2
    assert all(len(name) <= 100 and name.endswith("-confirm") for name in confirming)
    assert (confirming == [f"{name}-confirm" for name in names]) is (length == 92)


def test_the_report_of_a_confirmation_says_what_it_confirms(finished: Database, work: Work) -> None:
    enqueue_round(finished, begin(finished), 0.2, 6)
    work(finished, stored_spec(again(finished).record), slots=8)
    report = read_report(finished, "s-confirm")
    assert any("fresh runs of settings that study 's' chose" in sentence for sentence in report.caveats)
    assert not any("The study ended after" in sentence for sentence in report.caveats)
    assert report.follow_up is not None
    assert report.follow_up.command == "gradstudy report s"


def test_the_report_of_a_confirmation_that_took_over_a_frontier_width_claims_nothing_about_it(
    finished: Database, work: Work
) -> None:
    enqueue_round(finished, begin(finished), 0.2, 6)
    work(finished, stored_spec(again(finished).record), slots=8)
    with finished.engine.begin() as connection:  # as earlier versions made them
        connection.exec_driver_sql("UPDATE gradstudy_study SET spec = json_set(spec, '$.frontier_width', 0.5)")
    assert not any("The study ended after" in sentence for sentence in read_report(finished, "s-confirm").caveats)


def test_a_confirmation_whose_study_was_deleted_has_a_report_and_is_not_confirmed(finished: Database) -> None:
    record = begin(finished).record
    delete_study(finished, "s")
    report = read_report(finished, record.name)
    assert report.confirms is None
    with pytest.raises(NothingToConfirmError, match="the study that it confirms was deleted"):
        begin_confirmation(finished, record, 1, 40)


def test_a_confirmation_is_not_confirmed(finished: Database) -> None:
    record = begin(finished).record
    with pytest.raises(NothingToConfirmError, match="name the study that it confirms, 's'"):
        begin_confirmation(finished, record, 1, 40)
