"""Database URLs: what is accepted, which driver serves it, and how it is shown without its password."""

from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from gradstudy.storage.errors import UrlError

ACCEPTED = "sqlite:///FILE, postgresql://USER@HOST/DATABASE or mysql://USER@HOST/DATABASE"
"""What a person can write."""

DRIVERS = {
    "sqlite": "sqlite",
    "postgresql": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mariadb+pymysql",
}
"""The driver that is used where a URL names only the database."""


def parse(text: str) -> URL:
    """Read a database URL.

    Raises:
        UrlError: it is no URL, its database is not supported, or its driver is not installed.
    """
    try:
        url = make_url(text)
    except ArgumentError:
        raise UrlError(_not_a_url(text)) from None
    backend = url.get_backend_name()
    if backend not in DRIVERS:
        raise UrlError(f"'{backend}' databases are not supported; accepted are {ACCEPTED}")
    if url.drivername == backend:
        url = url.set(drivername=DRIVERS[backend])
    _check_driver(url)
    if backend == "sqlite":
        _check_file(url)
    return url


def display(url: URL) -> str:
    """The URL as it may be printed: every password in it is hidden, and a file keeps its umlauts."""
    plain = f"sqlite:///{url.database}"
    if sqlite_path(url) is not None and not url.query and make_url(plain).database == url.database:
        return plain
    hidden = {key: "***" for key in url.query if "pass" in key.lower()}
    return url.update_query_dict(hidden).render_as_string(hide_password=True)


def sqlite_path(url: URL) -> Path | None:
    """The file of an SQLite database, None for a server."""
    return Path(url.database or "") if url.get_backend_name() == "sqlite" else None


def _not_a_url(text: str) -> str:
    if "@" in text or "://" in text:
        # It may hold a password at a place where nobody can tell.
        return f"this is not a database URL (not shown: it may hold a password); accepted are {ACCEPTED}"
    if not text.strip():
        return f"the database URL is empty; accepted are {ACCEPTED}"
    return f"'{text}' is not a database URL; for an SQLite file write sqlite:///{text}"


def _check_driver(url: URL) -> None:
    try:
        url.get_dialect().import_dbapi()
    except NoSuchModuleError:
        raise UrlError(f"'{url.drivername}' is not a known driver; accepted are {ACCEPTED}") from None
    except ImportError as error:
        raise UrlError(f"{display(url)} needs the Python package '{error.name}', which is not installed") from None


def _check_file(url: URL) -> None:
    if url.database in {None, "", ":memory:"} or "uri" in url.query:
        raise UrlError(f"{display(url)} is not a file, and workers share a file; write sqlite:///FILE")
