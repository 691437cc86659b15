"""The role that a person's own SQL runs under on a server: it may read gradstudy's and Optuna's tables, nothing else.

The statement runs in a routine that belongs to the role (``SECURITY DEFINER``): there it has the role's rights, whoever
asks, and PostgreSQL lets no statement change its role there. Making a role is a right of its own. Where the user who
makes the tables does not have it there is no role, and a query has the rights of its user.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DBAPIError

from gradstudy.storage.optuna_storage import OPTUNA_MAKES

ROLE = "gradstudy_query"
"""The role on PostgreSQL, where it is the whole server's; its rights are each database's."""

OPEN, FETCH = "gradstudy_query_open", "gradstudy_query_fetch"
"""PostgreSQL's functions: one puts a cursor around a statement, one takes rows from it."""

CURSOR = "gradstudy_query_rows"
"""The cursor that ``OPEN`` makes."""

PROCEDURE = "gradstudy_query"
"""MySQL's procedure: it runs a statement and sends what it gives."""

VIEWS = frozenset({"trial_result", "step_result", "setting_summary"})
PREFIX = "gradstudy_"
"""How the names of gradstudy's tables begin."""

NOT_ALLOWED = {"42501", 1044, 1142, 1227, 1370, 1410, 1819}
"""PostgreSQL's SQLSTATE and MySQL's numbers where a user may not make a role, its routines or its grants."""

# What OPEN takes is what gives rows: no COPY, DO, LOCK or SET, and one statement only.
POSTGRESQL = f"""
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{ROLE}') THEN CREATE ROLE {ROLE} NOLOGIN; END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$;
DO $$ BEGIN
    IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN GRANT {ROLE} TO CURRENT_USER; END IF;
    EXECUTE format('GRANT USAGE, CREATE ON SCHEMA %I TO {ROLE}', current_schema());
END $$;
CREATE OR REPLACE FUNCTION {OPEN}(statement text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE rows_of_query refcursor := '{CURSOR}';
BEGIN
    OPEN rows_of_query FOR EXECUTE statement;
END $$;
CREATE OR REPLACE FUNCTION {FETCH}(wanted integer) RETURNS SETOF record LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    RETURN QUERY EXECUTE format('FETCH %s FROM {CURSOR}', wanted);
END $$;
ALTER FUNCTION {OPEN}(text) OWNER TO {ROLE};
ALTER FUNCTION {FETCH}(integer) OWNER TO {ROLE};
REVOKE ALL ON FUNCTION {OPEN}(text), {FETCH}(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION {OPEN}(text), {FETCH}(integer) TO CURRENT_USER;
DO $$ BEGIN
    EXECUTE format('REVOKE CREATE ON SCHEMA %I FROM {ROLE}', current_schema());
END $$;
"""

MYSQL = (
    "CREATE USER IF NOT EXISTS {user} ACCOUNT LOCK",
    f"DROP PROCEDURE IF EXISTS {PROCEDURE}",
    f"CREATE DEFINER = {{user}} PROCEDURE {PROCEDURE}(IN statement LONGTEXT) READS SQL DATA SQL SECURITY DEFINER BEGIN "
    f"SET @gradstudy_query = statement; PREPARE gradstudy_query FROM @gradstudy_query; EXECUTE gradstudy_query; END",
    f"GRANT EXECUTE ON PROCEDURE {PROCEDURE} TO {{user}}",
)


def make_query_role(connection: Connection) -> None:
    """Make the role, what it needs, and its right to read each table and view; again is no error.

    SQLite needs none. Where the user may not make roles nothing is made.
    """
    if connection.dialect.name == "sqlite":
        return
    try:
        with connection.begin_nested() if connection.dialect.name == "postgresql" else _undone_on_mysql(connection):
            _make(connection)
    except DBAPIError as error:
        if not codes_of(error) & NOT_ALLOWED:
            raise


def has_query_role(connection: Connection) -> bool:
    """Whether the user of a connection may run statements under the role."""
    if connection.dialect.name == "postgresql":
        find = f"SELECT has_function_privilege(to_regprocedure('{OPEN}(text)')::oid, 'EXECUTE')"
    else:
        find = (
            "SELECT COUNT(*) FROM information_schema.routines "
            f"WHERE routine_schema = DATABASE() AND routine_name = '{PROCEDURE}'"
        )
    return bool(connection.scalar(text(find)))


def may_write(connection: Connection) -> bool:
    """Whether the user of a connection has more than the right to read."""
    if connection.dialect.name == "postgresql":
        find = "SELECT has_table_privilege('gradstudy_trial', 'INSERT')"
    else:
        find = "SELECT COUNT(*) FROM ({}) AS found".format(
            " UNION ALL ".join(
                f"SELECT 1 FROM information_schema.{kind}_privileges WHERE privilege_type IN ('INSERT', 'SUPER')"
                for kind in ("user", "schema", "table")
            )
        )
    return bool(connection.scalar(text(find)))


def codes_of(error: DBAPIError) -> set[object]:
    """What the database calls an error: the standard's SQLSTATE, and a number of its own."""
    said = error.orig
    return {getattr(said, "sqlstate", None), *(said.args[:1] if said is not None else ())}


@contextmanager
def _undone_on_mysql(connection: Connection) -> Iterator[None]:
    """MySQL commits with each statement that makes something; what was made before a failure goes again."""
    try:
        yield
    except DBAPIError:
        for statement in (f"DROP PROCEDURE IF EXISTS {PROCEDURE}", f"DROP USER IF EXISTS {_mysql_user(connection)}"):
            with suppress(DBAPIError):
                connection.exec_driver_sql(statement)
        raise


def _mysql_user(connection: Connection) -> str:
    # A user is the whole server's: one for all databases would read the tables of each.
    digest = sha256((connection.engine.url.database or "").encode()).hexdigest()[:16]
    return f"'{ROLE}_{digest}'@'localhost'"


def _make(connection: Connection) -> None:
    quote = connection.dialect.identifier_preparer.quote
    inspector = inspect(connection)
    readable = map(quote, filter(_is_ours, inspector.get_table_names() + inspector.get_view_names()))
    if connection.dialect.name == "postgresql":
        user, right, make = ROLE, "SELECT", [POSTGRESQL]
    else:
        user = _mysql_user(connection)
        right = "SELECT, SHOW VIEW"  # without the second nobody may explain a query of a view
        make = [statement.format(user=user) for statement in MYSQL]
    for statement in make + [f"GRANT {right} ON {name} TO {user}" for name in readable]:
        connection.execution_options(no_parameters=True).exec_driver_sql(statement)


def _is_ours(name: str) -> bool:
    return name in VIEWS | OPTUNA_MAKES or name.startswith(PREFIX)
