"""A database that holds gradstudy's studies: opening it, making it, closing it."""

from contextlib import ExitStack
from functools import cached_property
from typing import TYPE_CHECKING, Self

from sqlalchemy import URL, create_engine, inspect

from gradstudy.storage import migrate
from gradstudy.storage.connections import configure
from gradstudy.storage.damage import refuse_damage
from gradstudy.storage.errors import (
    BeingMadeError,
    ForeignDatabaseError,
    NotFoundError,
    PlainDatabaseError,
    SchemaVersionError,
)
from gradstudy.storage.first_bytes import leave, use
from gradstudy.storage.network_filesystem import refuse_network_filesystem
from gradstudy.storage.optuna_proxy import connect_proxy
from gradstudy.storage.optuna_storage import (
    OPTUNA_MAKES,
    OPTUNA_TABLES,
    POOL,
    close_optuna_storage,
    open_optuna_storage,
)
from gradstudy.storage.server_lock import server_lock
from gradstudy.storage.sqlite import (
    check_readable,
    check_writable,
    creation_lock,
    table_names,
    use_write_ahead_log,
)
from gradstudy.storage.transactions import reading
from gradstudy.storage.urls import display, parse, sqlite_path

if TYPE_CHECKING:
    from optuna.storages import GrpcStorageProxy, RDBStorage


class Database:
    """An open database.

    Attributes:
        url: with its password; for connecting, never for printing.
        display_url: for printing.
        path: the file of an SQLite database, None for a server.
        engine: for gradstudy's tables; at most two connections.
    """

    def __init__(self, url: URL, optuna_proxy: str | None = None) -> None:
        """Prepare the engine; nothing is opened yet. Use `open`."""
        self.url = url
        self._optuna_proxy = optuna_proxy
        self.display_url = display(url)
        self.path = sqlite_path(url)
        self._in_use = ExitStack()
        if self.path is not None:
            self._in_use.callback(leave, use(self.path))
        self.engine = create_engine(url, **POOL)
        configure(self.engine)

    @classmethod
    def open(cls, url: str, *, create: bool = False, optuna_proxy: str | None = None) -> Self:
        """Open the database at a URL.

        Args:
            url: ``sqlite:///FILE`` or that of a server.
            create: make what is missing, and upgrade what is old. A database of Optuna's is taken over: its
                studies stay as they are.
            optuna_proxy: ``HOST:PORT`` of a proxy of Optuna's through which its tables are read and written.

        Raises:
            StorageError: one of its kinds, with one sentence on what to do.
        """
        database = cls(parse(url), optuna_proxy)
        try:
            if create:
                database._make()
            else:
                database._require()
        except BaseException as error:
            database.close()
            refuse_damage(database.path, error)
            raise
        return database

    @cached_property
    def optuna_storage(self) -> "RDBStorage | GrpcStorageProxy":
        """Optuna's storage on this database, opened on first use."""
        if self._optuna_proxy is not None:
            return connect_proxy(self._optuna_proxy)
        return open_optuna_storage(self.url, make_tables=False)

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()
        if "optuna_storage" in self.__dict__:
            close_optuna_storage(self.optuna_storage)
        self._in_use.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, raised: BaseException | None, *where: object) -> None:
        self.close()
        refuse_damage(self.path, raised)

    def _require(self) -> None:
        tables = self._tables()
        if not tables:
            raise NotFoundError(f"there is no database at {self.display_url}; `gradstudy launch` makes one")
        if migrate.VERSION_TABLE in tables:
            self._require_newest()
        elif tables >= OPTUNA_TABLES:
            raise PlainDatabaseError(
                f"{self.display_url} holds Optuna studies but none of gradstudy's; `gradstudy report` reads those, and "
                "`gradstudy launch` adds one"
            )
        elif tables <= OPTUNA_MAKES:
            raise self._being_made()
        else:
            raise self._not_ours(tables)

    def _require_newest(self) -> None:
        revision = migrate.current_revision(self.engine)
        migrate.check_known(self.engine, revision)
        if revision is None:
            raise self._being_made()
        if revision != migrate.HEAD:
            raise SchemaVersionError(
                f"{self.display_url} was made by an older gradstudy (tables {revision}, now {migrate.HEAD}); "
                "`gradstudy launch` upgrades it"
            )

    def _make(self) -> None:
        if self.path is not None and not self.path.parent.is_dir():
            raise NotFoundError(
                f"there is no folder {self.path.parent.absolute()} to make {self.path.name} in; make it first"
            )
        if self.path is not None:
            refuse_network_filesystem(self.path)
        self._refuse_other_tables(self._tables() - OPTUNA_MAKES)  # of those, another process may have made some by now
        if self._is_ready():
            return
        with creation_lock(self.path) if self.path is not None else server_lock(self.engine):
            if not self._is_ready():
                self._refuse_other_tables(self._tables())
                self._make_tables()

    def _refuse_other_tables(self, tables: set[str]) -> None:
        """Refuse a file with tables, unless Optuna's are among them; a server's database may hold whatever else."""
        if self.path is not None and tables and not self._tables() >= OPTUNA_TABLES:
            raise self._not_ours(tables)

    def _is_ready(self) -> bool:
        tables = self._tables()
        if migrate.VERSION_TABLE not in tables:
            return False
        revision = migrate.current_revision(self.engine)
        migrate.check_known(self.engine, revision)
        if self.path is not None:
            check_writable(self.path)
        return revision == migrate.HEAD

    def _make_tables(self) -> None:
        if self.path is not None:
            use_write_ahead_log(self.path)
        # Optuna's tables come first: gradstudy's refer to them. Old ones must stay as they are.
        has_optuna = self._tables() >= OPTUNA_TABLES
        self.__dict__["optuna_storage"] = open_optuna_storage(self.url, make_tables=not has_optuna)
        migrate.upgrade(self.engine)

    def _tables(self) -> set[str]:
        if self.path is not None:
            tables = table_names(self.path)
            if migrate.VERSION_TABLE in tables:
                check_readable(self.path)
            return tables
        with reading(self.engine) as connection:
            return set(inspect(connection).get_table_names())

    def _being_made(self) -> BeingMadeError:
        return BeingMadeError(f"{self.display_url} is just being made by another process; try again")

    def _not_ours(self, tables: set[str]) -> ForeignDatabaseError:
        return ForeignDatabaseError(
            f"{self.display_url} holds other tables ({', '.join(sorted(tables)[:3])}) "
            "and none of gradstudy's; name another database"
        )
