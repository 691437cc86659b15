"""Making and upgrading gradstudy's tables; nothing else makes them."""

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, func, inspect, select, text

from gradstudy.storage.errors import SchemaVersionError
from gradstudy.storage.schema import Worker
from gradstudy.storage.transactions import reading, writing
from gradstudy.storage.urls import display
from gradstudy.storage.workers import alive

if TYPE_CHECKING:
    from alembic.config import Config

VERSION_TABLE = "gradstudy_alembic_version"
"""Optuna owns ``alembic_version``; a second history needs a table of its own."""

HEAD = "0011"
"""The newest revision, known without importing Alembic."""


def config(connection: Connection) -> "Config":
    """Alembic's configuration for a connection."""
    from alembic.config import Config

    logging.getLogger("alembic").setLevel(logging.WARNING)
    made = Config(stdout=sys.stdout)  # by default the one there was when Alembic was imported
    folder = Path(__file__).with_name("migrations")
    made.set_main_option("script_location", str(folder).replace("%", "%%"))
    made.attributes["connection"] = connection
    return made


def upgrade(engine: Engine) -> None:
    """Bring gradstudy's tables to the newest revision, in one transaction where the database can.

    Raises:
        SchemaVersionError: workers of an older gradstudy run, which would write what the newer tables do not expect.
    """
    from alembic import command

    if inspect(engine).has_table(VERSION_TABLE):
        with reading(engine) as connection:
            workers = connection.scalar(select(func.count()).select_from(Worker).where(alive()))
        if workers:
            raise SchemaVersionError(
                f"{display(engine.url)} was made by an older gradstudy, and {workers} of its workers run; end them "
                "first (one that was killed counts as running for a minute)"
            )

    with writing(engine) as connection:
        command.upgrade(config(connection), "head")


def current_revision(engine: Engine) -> str | None:
    """The revision of the tables in a database that has gradstudy's; None while MySQL is still making the first."""
    with reading(engine) as connection:
        revision: str | None = connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}"))
    return revision


def check_known(engine: Engine, revision: str | None) -> None:
    """Refuse tables that a later gradstudy has made.

    Raises:
        SchemaVersionError: the revision is not one of those that this version knows.
    """
    if revision in (HEAD, None):
        return
    from alembic.script import ScriptDirectory

    with engine.connect() as connection:
        known = {script.revision for script in ScriptDirectory.from_config(config(connection)).walk_revisions()}
    if revision not in known:
        raise SchemaVersionError(
            f"{display(engine.url)} was made by a newer gradstudy "
            f"(tables {revision}, this one knows {HEAD}); upgrade gradstudy to use it"
        )
