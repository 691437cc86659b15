"""What the dashboard is given to show, and that it follows the study."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import optuna
import plotly.graph_objects as go
import pytest
from optuna_dashboard import get_note, save_plotly_graph_object
from waiting import until

from gradstudy.storage.database import Database
from gradstudy.storage.errors import NotFoundError
from gradstudy.storage.exclusion import exclude_trials
from gradstudy.storage.progress import count_outcomes
from gradstudy.storage.studies import StudyRecord, delete_study, find_study, list_studies
from gradstudy.storage.transactions import reading
from gradstudy.study.launch import create_or_resume
from gradstudy.study.report import sentences
from gradstudy.study.report.dashboard.answer_line import read_answer_lines
from gradstudy.study.report.dashboard.content import write_content
from gradstudy.study.report.dashboard.refresh import refreshing_dashboard
from gradstudy.study.report.report import read_report
from gradstudy.study.spec.study_spec import StudySpec


@pytest.fixture
def write() -> Callable[[Database], optuna.Study]:
    """Write the content of the study ``s``."""

    def write_it(db: Database) -> optuna.Study:
        record = find_study(db, "s")
        write_content(db, record, count_outcomes(db.engine, record), "12 ended, 0 excluded")
        return optuna.load_study(study_name="s", storage=db.optuna_storage)

    return write_it


def note_of(db: Database) -> str:
    return get_note(optuna.load_study(study_name="s", storage=db.optuna_storage))


def test_the_note_holds_the_answer_of_the_report(finished: Database, write: Callable[..., optuna.Study]) -> None:
    note, report = get_note(write(finished)), read_report(finished, "s")
    assert report.recommendation is not None
    assert f"```python\n{report.recommendation.pytorch.rstrip()}\n```" in note
    assert "12 of 12 trials: " in note
    for row in report.strategies.to_dict("records"):
        assert f"| {row['cell']} | {row['strategy']} | {row['diverged']} / {row['runs']} | " in note


def test_a_study_without_trials_has_a_note_too(
    db: Database, spec: StudySpec, write: Callable[..., optuna.Study]
) -> None:
    create_or_resume(db, spec)
    assert "0 of 12 trials: none has ended yet" in get_note(write(db))


def test_the_note_counts_its_versions_and_plots_are_replaced(
    finished: Database, write: Callable[..., optuna.Study]
) -> None:
    save_plotly_graph_object(write(finished), go.Figure(), graph_object_id="mine")
    before = write(finished)._storage.get_study_system_attrs(1)
    after = write(finished)._storage.get_study_system_attrs(1)
    assert after.pop("dashboard:note_ver") == before.pop("dashboard:note_ver") + 1
    assert after == before
    assert any(key.startswith("dashboard:plot_data:mine:") for key in after)


def test_a_study_that_was_deleted_has_no_content(finished: Database) -> None:
    record = find_study(finished, "s")
    counts = count_outcomes(finished.engine, record)
    delete_study(finished, "s")
    with pytest.raises(NotFoundError):
        write_content(finished, record, counts, "")


def test_the_note_follows_a_study(
    finished: Database, work: Callable[..., None], spec: StudySpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gradstudy.study.report.dashboard.refresh.SECONDS_BETWEEN_LOOKS", 0.05)
    monkeypatch.setattr("gradstudy.study.report.dashboard.refresh.LARGEST_SHARE", 1.0)  # on a slow machine too
    assert finished.path is not None
    said: list[str] = []
    with Database.open(f"sqlite:///{finished.path}") as other, refreshing_dashboard(other, said.append):
        until(lambda: "12 of 12 trials" in note_of(finished))
        more = spec.model_copy(update={"name": "more", "trials": 2})
        work(finished, more)
        storage = finished.optuna_storage
        until(lambda: "2 of 2 trials" in get_note(optuna.load_study(study_name="more", storage=storage)))
        delete_study(finished, "s")
    assert said == []


def test_a_note_that_is_as_new_as_its_study_is_not_written_again_at_a_start(
    finished: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gradstudy.study.report.dashboard.refresh.SECONDS_BETWEEN_LOOKS", 0.01)
    monkeypatch.setattr("gradstudy.study.report.dashboard.refresh.LARGEST_SHARE", 1.0)
    looks: list[Database] = []
    monkeypatch.setattr(
        "gradstudy.study.report.dashboard.refresh.list_studies", lambda db: looks.append(db) or list_studies(db)
    )

    def version() -> int:
        study = optuna.load_study(study_name="s", storage=finished.optuna_storage)
        return int(study._storage.get_study_system_attrs(1).get("dashboard:note_ver", 0))

    def look_again() -> None:
        """Until whatever there is to write is written."""
        with refreshing_dashboard(finished, pytest.fail):
            before = len(looks)
            until(lambda: len(looks) > before + 2)

    look_again()
    assert version() == 1
    look_again()
    assert version() == 1
    exclude_trials(finished, find_study(finished, "s"), [0], "a bad disk")
    look_again()
    assert version() == 2


def test_the_answer_is_kept_with_a_study(finished: Database, write: Callable[..., optuna.Study]) -> None:
    write(finished)
    record, report = find_study(finished, "s"), read_report(finished, "s")
    with reading(finished.engine) as connection:
        (line,) = read_answer_lines(connection, [record]).values()
        assert read_answer_lines(connection, [replace(record, identity="of another study")]) == {}
    assert (line.setting, line.ended) == (sentences.setting(report), "12 ended, 0 excluded")
    assert sentences.standing(report).startswith(f"{line.standing}: ")


def test_a_database_that_goes_away_is_said_once(
    finished: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gradstudy.study.report.dashboard.refresh.SECONDS_BETWEEN_LOOKS", 0.01)
    said: list[str] = []
    looks: list[Database] = []
    monkeypatch.setattr(
        "gradstudy.study.report.dashboard.refresh.list_studies", lambda db: looks.append(db) or list_studies(db)
    )
    with finished.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE gradstudy_study RENAME TO elsewhere")
    with refreshing_dashboard(finished, said.append):
        until(lambda: len(looks) > 3)
    assert len(said) == 1
    assert said[0].startswith("the notes and plots are not refreshed: ")


def test_an_error_in_one_study_is_said_once_and_the_others_are_refreshed(
    finished: Database, spec: StudySpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gradstudy.study.report.dashboard.refresh.SECONDS_BETWEEN_LOOKS", 0.01)
    looks: list[Database] = []
    monkeypatch.setattr(
        "gradstudy.study.report.dashboard.refresh.list_studies", lambda db: looks.append(db) or list_studies(db)
    )
    create_or_resume(finished, spec.model_copy(update={"name": "later"}))
    with finished.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE gradstudy_study SET spec = json_remove(spec, '$.steps') WHERE study_id = 1")
    said: list[str] = []
    storage = finished.optuna_storage
    with refreshing_dashboard(finished, said.append):
        until(lambda: "0 of 12 trials" in get_note(optuna.load_study(study_name="later", storage=storage)))
        looked = len(looks)
        until(lambda: len(looks) > looked + 2)
    assert said == ["the note and plots of study 's' are not refreshed: KeyError: 'steps'"]


def test_no_error_ends_the_refreshing(finished: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gradstudy.study.report.dashboard.refresh.SECONDS_BETWEEN_LOOKS", 0.01)
    looks: list[Database] = []

    def fail_at_first(db: Database) -> list[StudyRecord]:
        looks.append(db)
        if len(looks) < 3:
            raise RuntimeError("of a kind that nobody expects")
        return list_studies(db)

    monkeypatch.setattr("gradstudy.study.report.dashboard.refresh.list_studies", fail_at_first)
    said: list[str] = []
    with refreshing_dashboard(finished, said.append):
        until(lambda: "12 of 12 trials" in note_of(finished))
    assert said == ["the notes and plots are not refreshed: RuntimeError: of a kind that nobody expects"]
