"""Whatever works with a study gives the same when its steps are in files."""

import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from gradstudy.storage.database import Database
from gradstudy.storage.progress import count_outcomes
from gradstudy.storage.studies import find_study
from gradstudy.study import open_study
from gradstudy.study.integrations.exports.exported_run import ExportedRun, exported_runs
from gradstudy.study.report.dashboard.content import write_content

Run = Callable[..., Result]
# Of the libraries that exports are written with.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*noload.*loader strategy is deprecated"),
    pytest.mark.filterwarnings("ignore:unclosed.*:ResourceWarning"),
]


@pytest.fixture
def both(finished: Database, folder: Path, gradstudy: Run) -> tuple[str, str]:
    """The URLs of a study with its steps in the database, and of the same one with them in files."""
    finished.close()
    urls = [f"sqlite:///{folder / name}.db" for name in ("kept", "archived")]
    for url in urls:
        shutil.copy("gradstudy.db", url.removeprefix("sqlite:///"))
    assert gradstudy("archive", "s", "--storage", urls[1]).exit_code == 0
    return urls[0], urls[1]


def exported(url: str) -> list[ExportedRun]:
    """What MLflow, TensorBoard and W&B are given."""
    with closing(open_study("s", url)) as study:
        return list(exported_runs(study.summary(), study.trials(), study.steps)[1])


def shown_by_the_dashboard(url: str) -> dict[str, Any]:
    with Database.open(url) as database:
        record = find_study(database, "s")
        write_content(database, record, count_outcomes(database.engine, record), "")
        attributes = database.optuna_storage.get_study_system_attrs(record.study_id)
    # Only the name of the file that a note speaks of differs.
    return {name: str(value).replace(url.rpartition("/")[2], "") for name, value in attributes.items()}


def test_other_programs_are_given_the_same_runs(both: tuple[str, str]) -> None:
    kept, archived = map(exported, both)
    assert all(len(run.series["loss"][0]) for run in kept)
    assert archived == kept


@pytest.mark.parametrize("form", ["mlflow", "tensorboard", "wandb"])
def test_exports_are_written_of_archived_steps(both: tuple[str, str], folder: Path, gradstudy: Run, form: str) -> None:
    sizes = []
    for url in both:
        out = folder / url.rpartition("/")[2].removesuffix(".db")
        written = gradstudy("report", "s", "--storage", url, "--format", form, "--output", str(out))
        assert written.exit_code == 0, written.output
        sizes.append(sum(1 for each in out.rglob("*") if each.is_file()))
    assert sizes[0] == sizes[1] > 0


def test_the_dashboard_shows_the_same(both: tuple[str, str]) -> None:
    kept, archived = map(shown_by_the_dashboard, both)
    assert any("plot" in name for name in kept)
    assert archived == kept


@pytest.mark.parametrize(
    "words",
    [
        ("extend", "s", "--top", "2", "--steps", "40", "--detach"),
        ("confirm", "s", "--detach"),
        ("replay", "s", "0"),
        ("status", "s"),
        ("query", "SELECT * FROM trial_result ORDER BY number", "--format", "csv"),
        ("query", "SELECT * FROM setting_summary", "--format", "csv"),
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_verbs_say_the_same(both: tuple[str, str], gradstudy: Run, words: tuple[str, ...]) -> None:
    said = [gradstudy(*words, "--storage", url) for url in both]
    assert [each.exit_code for each in said] == [0, 0]
    kept, archived = (each.output.replace(url, "") for each, url in zip(said, both, strict=True))
    assert archived == kept


def test_longer_and_fresh_runs_are_of_the_same_settings(both: tuple[str, str], gradstudy: Run) -> None:
    specs = []
    for url in both:
        for words in (("extend", "s", "--top", "2", "--steps", "40"), ("confirm", "s")):
            assert gradstudy(*words, "--detach", "--storage", url).exit_code == 0
        with Database.open(url) as database:
            specs.append([find_study(database, name).spec for name in ("s-at-40", "s-confirm")])
    assert specs[0] == specs[1]
