"""Databases for tests: a file, or a database on a real server that is started once for each test process."""

import shutil
import signal
import sqlite3
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psutil
import pytest
from mariadb import find_mariadb, running_mariadb, statements_that_copy
from sqlalchemy import Connection, Engine, NullPool, create_engine, event, make_url, text

from gradstudy.storage.database import Database
from gradstudy.storage.embedded import EmbeddedServer
from gradstudy.storage.query_role import make_query_role

TEMPLATE = "template_with_tables"
NUMBERS = count()


ONE_IN = 3
"""Of how many cases of a test that is ``sampled`` the usual suite has one."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave most cases of ``sampled`` tests to the soak."""
    seen: Counter[str] = Counter()
    for item in items:
        if item.get_closest_marker("sampled"):
            name = item.nodeid.partition("[")[0]
            if (seen[name] + seen[name] // ONE_IN) % ONE_IN:  # of tables, not always the same column
                item.add_marker(pytest.mark.soak)
            seen[name] += 1


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One process more than there are cores: tests of commands wait for other processes."""
    return (psutil.cpu_count(logical=False) or 1) + 1


@event.listens_for(Engine, "connect")
def no_test_cuts_the_power(connection: object, record: object) -> None:
    """So none needs to wait for the disk, as Optuna's own storage does at each of its commits."""
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous = OFF")


@contextmanager
def connected(url: str) -> Iterator[Connection]:
    with create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT").connect() as connection:
        yield connection.execution_options(no_parameters=True)


@pytest.fixture(autouse=True, scope="session")
def ctrl_c_is_heard() -> None:
    """A shell's background job ignores Ctrl-C, and so would the commands that tests interrupt."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def small_numbers_are_numbers() -> Iterator[None]:
    """Commands that train make them zero in their process, which here is that of the other tests, too."""
    yield
    if torch := sys.modules.get("torch"):
        torch.set_flush_denormal(False)


@pytest.fixture(scope="session")
def server_folder() -> Iterator[Path]:
    """Not pytest's own: the user that PostgreSQL runs as may not pass through that."""
    with tempfile.TemporaryDirectory(prefix="gradstudy-") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with every table and no study."""
    path = tmp_path_factory.mktemp("empty") / "empty.db"
    Database.open(f"sqlite:///{path}", create=True).close()
    return path


@pytest.fixture(scope="session")
def postgresql(server_folder: Path) -> Iterator[EmbeddedServer]:
    """A server that would forget everything at a power cut."""
    with EmbeddedServer.start(server_folder / "postgresql", fsync="off") as server:
        yield server


@pytest.fixture(scope="session")
def postgresql_template(postgresql: EmbeddedServer) -> str:
    """A database with every table and no study."""
    postgresql.create_database(TEMPLATE)
    Database.open(postgresql.url_of(TEMPLATE), create=True).close()
    return TEMPLATE


@pytest.fixture(scope="session")
def password() -> str:
    """That of the user ``guarded`` of each server; it needs quoting in a URL."""
    return "s3cr3t/w@rd"


@pytest.fixture(scope="session")
def guarded_postgresql(postgresql: EmbeddedServer, password: str) -> EmbeddedServer:
    """The server with the user ``guarded``, who must give the password."""
    rules = postgresql.folder / "pg_hba.conf"
    rules.write_text(f"local all guarded scram-sha-256\n{rules.read_text()}")
    loaded = "SELECT pg_conf_load_time()"
    with connected(postgresql.url) as connection:
        connection.exec_driver_sql(f"CREATE ROLE guarded SUPERUSER LOGIN PASSWORD '{password}'")
        before = connection.scalar(text(loaded))
        connection.exec_driver_sql("SELECT pg_reload_conf()")
    while True:  # the server reads the rules when it comes to it
        with connected(postgresql.url) as connection:
            if connection.scalar(text(loaded)) != before:
                return postgresql


@pytest.fixture(scope="session")
def mariadb(server_folder: Path) -> Iterator[str]:
    """The URL of a server, without the name of a database."""
    program = find_mariadb()
    if program is None:
        pytest.skip("MariaDB is not installed (Debian: mariadb-server-core, mariadb-client-core)")
    with running_mariadb(program, server_folder / "mariadb") as url:
        yield url


@pytest.fixture(scope="session")
def mariadb_template(mariadb: str) -> list[str]:
    """The statements that make every table in an empty database."""
    with connected(f"{mariadb}mysql") as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {TEMPLATE}")
    Database.open(f"{mariadb}{TEMPLATE}", create=True).close()
    with connected(f"{mariadb}{TEMPLATE}") as connection:
        return statements_that_copy(connection)


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """A file of its own with every table and no study; so are the databases below."""
    return f"sqlite:///{shutil.copy(sqlite_template, tmp_path / 'study.db')}"


@pytest.fixture
def empty_sqlite_url(tmp_path: Path) -> str:
    """A file that is not there yet."""
    return f"sqlite:///{tmp_path / 'new.db'}"


@pytest.fixture
def empty_postgresql_url(postgresql: EmbeddedServer) -> Iterator[str]:
    """A database without tables; to leave a connection to it open is an error."""
    name = f"of_test_{next(NUMBERS)}"
    postgresql.create_database(name)
    yield postgresql.url_of(name)
    with connected(postgresql.url_of("postgres")) as connection:
        connection.exec_driver_sql(f"DROP DATABASE {name}")


@pytest.fixture
def postgresql_url(postgresql: EmbeddedServer, postgresql_template: str) -> Iterator[str]:
    """To leave a connection to it open is an error."""
    name = f"of_test_{next(NUMBERS)}"
    postgresql.create_database(name, postgresql_template)
    yield postgresql.url_of(name)
    with connected(postgresql.url_of("postgres")) as connection:
        connection.exec_driver_sql(f"DROP DATABASE {name}")


@pytest.fixture
def empty_mariadb_url(mariadb: str) -> Iterator[str]:
    """A database without tables; one whose name begins with ``test`` would be open to everybody."""
    name = f"of_test_{next(NUMBERS)}"
    with connected(f"{mariadb}mysql") as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
        yield f"{mariadb}{name}"
        connection.exec_driver_sql(f"DROP DATABASE {name}")


@pytest.fixture
def guarded_postgresql_url(guarded_postgresql: EmbeddedServer, empty_postgresql_url: str) -> str:
    """A database without tables for a user who must give the password, which is not in it."""
    return make_url(empty_postgresql_url).set(username="guarded").render_as_string()


@pytest.fixture
def guarded_mariadb_url(mariadb: str, empty_mariadb_url: str, password: str) -> str:
    """A database without tables for a user who must give the password, which is not in it."""
    with connected(f"{mariadb}mysql") as connection:
        connection.exec_driver_sql(f"CREATE OR REPLACE USER guarded@'127.0.0.1' IDENTIFIED BY '{password}'")
        connection.exec_driver_sql("GRANT ALL ON *.* TO guarded@'127.0.0.1'")
    return make_url(empty_mariadb_url).set(username="guarded").render_as_string()


@pytest.fixture
def mariadb_url(empty_mariadb_url: str, mariadb_template: list[str]) -> str:
    with connected(empty_mariadb_url) as connection:
        for statement in mariadb_template:
            connection.exec_driver_sql(statement)
        make_query_role(connection)
    return empty_mariadb_url
