import subprocess
import sys

import pandas as pd
import pytest

from gradstudy.storage.database import Database
from gradstudy.storage.errors import NotFoundError
from gradstudy.storage.frames import read_steps, read_trials
from gradstudy.study import open_study
from gradstudy.study.frontier.table import frontier
from gradstudy.study.report.report import read_report


def url(db: Database) -> str:
    return f"sqlite:///{db.path}"


def test_a_study_gives_its_frames(finished: Database) -> None:
    with open_study("s", url(finished)) as study:
        pd.testing.assert_frame_equal(study.trials(), read_trials(finished, "s"))
        pd.testing.assert_frame_equal(study.steps([0, 1], every=5), read_steps(finished, "s", [0, 1], every=5))
        pd.testing.assert_frame_equal(study.frontier(), frontier(read_trials(finished, "s")))
        pd.testing.assert_frame_equal(study.report(), read_report(finished, "s").strategies)
        assert study.summary().recommendation == read_report(finished, "s").recommendation
        assert study.spec["task"] == "copy"


def test_the_storage_may_come_from_the_environment(finished: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADSTUDY_STORAGE", url(finished))
    with open_study("s") as study:
        assert repr(study) == f"<study 's' in {finished.display_url}>"


def test_a_study_shows_itself_in_a_notebook(finished: Database) -> None:
    with open_study("s", url(finished)) as study:
        shown = study._repr_html_()
    assert shown.startswith("<h3>s: ")
    assert shown.count("<tr") == 1 + len(read_report(finished, "s").strategies)
    assert "<pre>" in shown


def test_a_study_without_trials_shows_itself_too(db: Database, finished: Database) -> None:
    with open_study("s", url(finished)) as study, finished.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM gradstudy_trial")
        connection.commit()
        assert "nothing has ended yet" in study._repr_html_()
        assert study.frontier().empty
        assert study.report().empty


def test_a_missing_study_is_said(finished: Database) -> None:
    with pytest.raises(NotFoundError, match="there is no study 'other'"):
        open_study("other", url(finished))


def test_the_room_is_light_to_import_and_reading_needs_neither_torch_nor_optuna() -> None:
    code = (
        "import sys, gradstudy.study\n"
        "print({'torch', 'optuna', 'pandas'} & set(sys.modules))\n"
        "from gradstudy.study import open_study\n"
        "print({'torch', 'optuna'} & set(sys.modules))\n"
    )
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert shown.stdout == "set()\nset()\n"


def test_a_name_that_the_room_does_not_have_is_an_error() -> None:
    import gradstudy.study

    with pytest.raises(AttributeError, match="no attribute 'close_study'"):
        gradstudy.study.close_study  # noqa: B018
