"""Database URLs: what is accepted, which driver serves it, and how it is shown without its password.

A URL is read here and nowhere else. Whatever SQLAlchemy or a driver finds wrong with one is said here in gradstudy's
own words: theirs repeat what was given, and where a password holds an unescaped ``@`` or ``:`` a part of it passes for
a host or a port.
"""

import errno
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn
from urllib.parse import quote_plus

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from gradstudy.storage.errors import UrlError
from gradstudy.storage.user_info import without_user_info

ACCEPTED = "sqlite:///FILE, postgresql://USER@HOST/DATABASE or mysql://USER@HOST/DATABASE"
"""What a person can write."""

DRIVERS = {
    "sqlite": "sqlite",
    "postgresql": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mariadb+pymysql",
}
"""The driver that serves a database; gradstudy knows the errors and the habits of no other."""

EXTRAS = {"postgresql": "postgresql", "mysql": "mysql", "mariadb": "mysql"}
"""The extra of gradstudy that installs a driver."""

PYMYSQL_OPTIONS = frozenset(
    {
        "charset", "connect_timeout", "password", "program_name", "read_default_file", "read_default_group",
        "read_timeout", "ssl_ca", "ssl_capath", "ssl_cert", "ssl_check_hostname", "ssl_cipher", "ssl_key",
        "unix_socket", "write_timeout",
    }
)  # fmt: skip
"""Options of PyMySQL whose values can be written in a URL and leave gradstudy's transactions as they are."""

LONGEST_URL = 4096
LAST_PORT = 65535
SHORTEST_SECRET = 4
"""Letters of a password that is looked for in what a driver says: a shorter one is in every sentence."""

UNUSABLE_NAME = frozenset({errno.ENAMETOOLONG, errno.ELOOP})
"""What the system says of a name that no file can be made under."""


def parse(text: str) -> URL:
    """Read a database URL.

    Raises:
        UrlError: it is no URL, its database is not supported, its driver is not installed, or one of its parts cannot
            be used. No sentence repeats a part that may belong to a password.
    """
    url = _parsed(text)
    backend = url.get_backend_name()
    if backend not in DRIVERS:
        raise UrlError(f"'{backend}' databases are not supported; accepted are {ACCEPTED}")
    if url.drivername not in {backend, DRIVERS[backend], "sqlite+pysqlite"}:
        raise UrlError(
            f"gradstudy uses one driver for each database; write {backend}:// instead of {url.drivername}://"
        )
    url = url.set(drivername=DRIVERS[backend])
    _check_driver(url)
    if backend == "sqlite":
        _check_file(url)
    else:
        _check_server(url, text)
    return url


def display(url: URL) -> str:
    """The URL as it may be printed: every password in it is hidden, and a file keeps its umlauts."""
    plain = f"sqlite:///{url.database}"
    if sqlite_path(url) is not None and not url.query and make_url(plain).database == url.database:
        return plain
    hidden = {key: "***" for key in url.query if "pass" in key.lower()}
    return url.update_query_dict(hidden).render_as_string(hide_password=True)


def without_password(said: str, url: URL) -> str:
    """What a driver or the engine said about a URL, with its passwords hidden."""
    values = [value for key, value in url.query.items() if "pass" in key.lower()]
    for secret in (str(secret) for secret in (url.password, *values) if secret is not None):
        if len(secret) >= SHORTEST_SECRET:
            said = said.replace(quote_plus(secret), "***").replace(secret, "***")
    return without_user_info(said)


def sqlite_path(url: URL) -> Path | None:
    """The file of an SQLite database, None for a server."""
    return Path(url.database or "") if url.get_backend_name() == "sqlite" else None


def _parsed(text: str) -> URL:
    if not text.strip():
        raise UrlError(f"the database URL is empty; accepted are {ACCEPTED}")
    if not text.isprintable() or len(text) > LONGEST_URL:
        raise UrlError(
            f"this is not a database URL: it has letters that cannot be printed, or more than {LONGEST_URL}; "
            f"accepted are {ACCEPTED}"
        )
    try:
        return make_url(text)
    except ArgumentError:
        _refuse(text)
    except ValueError:  # what stands for the port is no number
        _refuse_address()


def _refuse(text: str) -> NoReturn:
    if "@" in text or ":/" in text:
        # It may hold a password at a place where nobody can tell.
        raise UrlError(f"this is not a database URL (not shown: it may hold a password); accepted are {ACCEPTED}")
    raise UrlError(f"'{text}' is not a database URL; for an SQLite file write sqlite:///{text}")


def _refuse_address() -> NoReturn:
    raise UrlError(
        "the database URL cannot be read after ://; it takes USER:PASSWORD@HOST:PORT/DATABASE with a port from 1 to "
        f"{LAST_PORT}, and in a user name, a password or an option @ is written %40, : %3A, / %2F, ? %3F and % %25"
    )


def _check_driver(url: URL) -> None:
    try:
        url.get_dialect().import_dbapi()
    except ImportError as error:
        raise UrlError(
            f"{display(url)} needs the Python package '{error.name}', which is not installed; install it with: "
            f'pip install "gradstudy[{EXTRAS.get(url.get_backend_name(), "")}]"'
        ) from None


def _check_file(url: URL) -> None:
    if url.host or url.username or url.password is not None or url.port:
        raise UrlError("a file has no host and no user; write sqlite:///FILE, and sqlite:////FILE from the root")
    if url.query:
        raise UrlError(f"an SQLite file takes no options, but got {_named(url.query)}")
    if url.database in {None, "", ":memory:"} or str(url.database).startswith("file:"):
        raise UrlError(f"{display(url)} is not a file, and workers share a file; write sqlite:///FILE")
    if not str(url.database).isprintable():
        raise UrlError("the name of a database file must be text that can be printed")
    try:
        os.stat(str(url.database))  # noqa: PTH116 - a path of pathlib hides some of these errors
    except OSError as error:
        if error.errno in UNUSABLE_NAME:
            raise UrlError(f"the database file cannot have this name: {error.strerror}") from None


def _check_server(url: URL, text: str) -> None:
    # What SQLAlchemy takes for host, port, database or option may then be the end of a password.
    user_info = text.partition("://")[2].rpartition("@")[0]
    if re.search(r"[@/?#]", user_info):
        _refuse_address()
    if url.port is not None and not 1 <= url.port <= LAST_PORT:
        _refuse_address()
    unknown = {key: value for key, value in url.query.items() if key not in _options(url)}
    if unknown:
        raise UrlError(f"the database URL has options that its driver does not take: {_named(unknown)}")
    hosts = url.query.get("host", ())
    for host in (url.host or "", *((hosts,) if isinstance(hosts, str) else hosts)):
        try:
            host.encode("idna")
        except UnicodeError:
            if not host.startswith("/"):
                raise UrlError("the database URL has a host name that cannot be one") from None
    try:
        url.get_dialect()().create_connect_args(url)
    except (ArgumentError, ValueError, TypeError):
        raise UrlError(
            f"the database URL has an option whose value its driver does not take: {_named(url.query)}"
        ) from None


def _options(url: URL) -> frozenset[str]:
    if url.get_backend_name() != "postgresql":
        return PYMYSQL_OPTIONS
    from psycopg import pq

    return frozenset(option.keyword.decode() for option in pq.Conninfo.get_defaults())


def _named(options: Iterable[str]) -> str:
    """The names of options; one that is no word may be a part of a password."""
    return ", ".join(name if name.isidentifier() else "***" for name in options)
