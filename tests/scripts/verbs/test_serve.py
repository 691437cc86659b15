"""The whole service as a process of its own: its database, its workers, its dashboard."""

import shlex
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from dashboard_process import Served, serving
from typer.testing import Result
from waiting import until

from gradstudy.storage.database import Database
from gradstudy.storage.errors import UnavailableError
from gradstudy.storage.progress import RUNNING, count_outcomes
from gradstudy.storage.studies import find_study

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def data() -> Iterator[Path]:
    """A folder for PostgreSQL, whose user may not pass through pytest's."""
    with tempfile.TemporaryDirectory(prefix="gradstudy-") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder) / "data"


@pytest.fixture
def service(data: Path) -> Iterator[Served]:
    with serving(str(data), "--workers", "1", "--slots", "2", verb="serve") as service:
        yield service


@pytest.fixture
def url(service: Served) -> str:
    """Of its database, as it says."""
    assert service.process.stdout is not None
    line = service.process.stdout.readline()
    assert line.startswith("1 worker serves every open study; launch one with: gradstudy launch NAME --detach ")
    return shlex.split(line)[-1]


def wait_for(database: Database, name: str, outcome: str, at_least: int) -> None:
    study = find_study(database, name)
    until(lambda: count_outcomes(database.engine, study)[outcome] >= at_least)


@pytest.mark.slow
def test_a_study_that_is_launched_runs_and_is_shown(
    gradstudy: Run, flags: list[str], service: Served, url: str
) -> None:
    assert gradstudy("launch", "s", *flags, "--detach", "--storage", url).exit_code == 0
    service.until("api/studies", lambda answer: answer["study_summaries"])
    service.until("api/studies/1", lambda study: "8 of 8 trials" in study["note"]["body"])
    assert service.ask("api/studies/1", "DELETE").status == 403
    assert service.stop(signal.SIGTERM) == (130, "stopping: running trials are given back\n", "")


@pytest.mark.slow
def test_it_stops_in_the_middle_of_a_study_and_goes_on(
    gradstudy: Run, flags: list[str], service: Served, url: str, data: Path
) -> None:
    # None diverges, and none comes to its end within a test.
    endless = ("--steps=1000000", "--strategies=none", "--lr=0.001:0.002")
    assert gradstudy("launch", "long", *flags, *endless, "--detach", "--storage", url).exit_code == 0
    with Database.open(url) as database:
        wait_for(database, "long", RUNNING, 2)
    assert service.stop(signal.SIGTERM) == (130, "stopping: running trials are given back\n", "")
    with pytest.raises(UnavailableError):
        Database.open(url)
    with serving(str(data), "--workers", "1", "--slots", "1", verb="serve") as again:
        with Database.open(url) as database:
            wait_for(database, "long", RUNNING, 1)
        assert again.stop(signal.SIGTERM)[0] == 130


def test_a_device_that_is_not_there_is_said_before_anything_is_made(gradstudy: Run, folder: Path) -> None:
    result = gradstudy("serve", "--device", "tpu")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert list(folder.iterdir()) == []


def test_a_folder_beside_another_database_is_refused(gradstudy: Run, folder: Path) -> None:
    result = gradstudy("serve", "--storage", "sqlite:///x.db", "--data", "x")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "--data is the folder of the service's own database" in result.stderr
    assert list(folder.iterdir()) == []
