"""A query on a server has the rights to read the results and no others, whoever asks."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, NullPool, create_engine, inspect, make_url

from gradstudy.storage.database import Database
from gradstudy.storage.embedded import EmbeddedServer
from gradstudy.storage.errors import QueryError, QueryTimeoutError
from gradstudy.storage.queries import run_query
from gradstudy.storage.query_role import has_query_role, make_query_role

ESCAPE = "set_config(''role'', ''none'', false)"
NOT_ON_POSTGRESQL = (
    "COPY gradstudy_study TO PROGRAM 'touch {folder}/made'",
    "COPY gradstudy_study TO '{folder}/made'",
    "COPY gradstudy_worker (host) FROM '/etc/hostname'",
    "COPY (SELECT 1) TO STDOUT",
    "DO $$ BEGIN COPY gradstudy_study TO PROGRAM 'touch {folder}/made'; END $$",
    "DO $$ BEGIN EXECUTE 'CREATE TABLE made (i INTEGER)'; END $$",
    "SELECT pg_read_file('/etc/hostname')",
    "SELECT pg_read_binary_file('/etc/hostname')",
    "SELECT pg_ls_dir('/')",
    "SELECT pg_stat_file('/etc/hostname')",
    "SELECT lo_import('/etc/hostname')",
    "SELECT lo_creat(-1)",
    "SELECT lo_from_bytea(0, 'x')",
    "SELECT lo_export(1, '{folder}/made')",
    "SELECT pg_create_physical_replication_slot('made')",
    "SELECT pg_create_logical_replication_slot('made', 'test_decoding')",
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()",
    "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()",
    "SELECT pg_reload_conf()",
    "SELECT pg_rotate_logfile()",
    "SELECT pg_switch_wal()",
    "SELECT pg_create_restore_point('made')",
    "SELECT pg_stat_reset()",
    "SELECT pg_promote()",
    "SELECT pg_backup_start('made')",
    "SELECT set_config('role', 'none', false)",
    "SELECT set_config('session_authorization', 'default', false)",
    "SELECT set_config('transaction_read_only', 'off', false)",
    "SELECT set_config('log_statement', 'all', false)",
    f"SELECT query_to_xml('SELECT {ESCAPE}, pg_read_file(''/etc/hostname'')', true, true, '')",
    "SELECT query_to_xml('SELECT pg_ls_dir(''/'')', true, true, '')",
    "SELECT query_to_xml('DELETE FROM gradstudy_study', true, true, '')",
    "SELECT U&\"set\\005fconfig\"('role', 'none', false)",
    "SELECT rolpassword FROM pg_authid",
    "SELECT * FROM pg_shadow",
    "SELECT * FROM secret",
    "SELECT nextval('made_before')",
    "SELECT setval('made_before', 7)",
    "SELECT * FROM gradstudy_study FOR UPDATE",
    "SELECT * FROM gradstudy_study FOR SHARE",
    "SELECT 1 INTO made",
    "CREATE TABLE made (i INTEGER)",
    "CREATE TABLE made AS SELECT 1",
    "CREATE TEMP TABLE made (i INTEGER)",
    "CREATE VIEW made AS SELECT 1",
    "CREATE ROLE made SUPERUSER",
    "CREATE DATABASE made",
    "CREATE EXTENSION dblink",
    "CREATE FUNCTION made() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "ALTER ROLE CURRENT_USER PASSWORD 'x'",
    "ALTER SYSTEM SET log_statement = 'all'",
    "ALTER TABLE gradstudy_study ADD COLUMN made INTEGER",
    "DROP TABLE gradstudy_step",
    "TRUNCATE gradstudy_step",
    "DELETE FROM gradstudy_study",
    "DELETE FROM gradstudy_study RETURNING study_id",
    "UPDATE gradstudy_study SET budget = 7 RETURNING budget",
    "INSERT INTO gradstudy_worker (host) VALUES ('x') RETURNING worker_id",
    "MERGE INTO gradstudy_study s USING gradstudy_worker w ON false WHEN MATCHED THEN DELETE",
    "WITH gone AS (DELETE FROM gradstudy_study RETURNING study_id) SELECT * FROM gone",
    "EXPLAIN ANALYZE DELETE FROM gradstudy_study",
    "EXPLAIN ANALYZE CREATE TABLE made AS SELECT 1",
    "EXPLAIN ANALYZE SELECT pg_read_file('/etc/hostname')",
    "LOCK TABLE gradstudy_study",
    "LOCK TABLE gradstudy_study IN ACCESS SHARE MODE",
    "GRANT ALL ON gradstudy_study TO PUBLIC",
    "REVOKE ALL ON gradstudy_study FROM CURRENT_USER",
    "SET ROLE none",
    "SET SESSION AUTHORIZATION DEFAULT",
    "SET transaction_read_only = off",
    "SET TRANSACTION READ WRITE",
    "RESET ALL",
    "DISCARD ALL",
    "BEGIN",
    "BEGIN READ WRITE",
    "COMMIT",
    "ROLLBACK",
    "SAVEPOINT made",
    "PREPARE made AS DELETE FROM gradstudy_study",
    "EXECUTE made",
    "DECLARE made CURSOR FOR SELECT 1",
    "FETCH ALL FROM gradstudy_query_rows",
    "CLOSE gradstudy_query_rows",
    "CALL made()",
    "NOTIFY made",
    "LISTEN made",
    "CHECKPOINT",
    "VACUUM",
    "ANALYZE gradstudy_study",
    "CLUSTER",
    "REINDEX TABLE gradstudy_study",
    "REFRESH MATERIALIZED VIEW made",
    "LOAD 'auto_explain'",
    "COMMENT ON TABLE gradstudy_study IS 'made'",
    "SECURITY LABEL ON TABLE gradstudy_study IS 'made'",
    "SELECT 1; DELETE FROM gradstudy_study",
    "SELECT 1; COMMIT; COPY gradstudy_study TO PROGRAM 'touch {folder}/made'",
    "COMMIT; DELETE FROM gradstudy_study",
    ") ; DELETE FROM gradstudy_study; --",
    "'; DELETE FROM gradstudy_study; --",
    "$$ DELETE FROM gradstudy_study $$",
    "",
    ";",
    "-- nothing",
    "SELECT",
)

NOT_ON_MARIADB = (
    "SELECT 1 INTO OUTFILE '{folder}/made'",
    "SELECT 1 INTO DUMPFILE '{folder}/made'",
    "SELECT 1 /*! INTO OUTFILE '{folder}/made' */",
    "/*! DELETE FROM gradstudy_study */",
    "/*M! DELETE FROM gradstudy_study */",
    "/* */ /*!50000 DROP TABLE gradstudy_step */",
    "LOAD DATA INFILE '/etc/hostname' INTO TABLE gradstudy_worker (host)",
    "LOAD DATA LOCAL INFILE '/etc/hostname' INTO TABLE gradstudy_worker (host)",
    "SELECT * FROM mysql.user",
    "SELECT * FROM mysql.global_priv",
    "SELECT * FROM secret",
    "SELECT 1 INTO @made",
    "SELECT budget FROM gradstudy_study INTO @made",
    "SELECT * FROM gradstudy_study FOR UPDATE",
    "SELECT NEXT VALUE FOR made_before",
    "CREATE TABLE made (i INTEGER)",
    "CREATE TABLE made AS SELECT 1",
    "CREATE TEMPORARY TABLE made (i INTEGER)",
    "CREATE OR REPLACE VIEW trial_result AS SELECT 1",
    "CREATE USER made",
    "CREATE DATABASE made",
    "CREATE EVENT made ON SCHEDULE EVERY 1 SECOND DO DELETE FROM gradstudy_study",
    "ALTER TABLE gradstudy_study ADD COLUMN made INTEGER",
    "ALTER USER root@127.0.0.1 IDENTIFIED BY 'x'",
    "DROP TABLE gradstudy_step",
    "DROP PROCEDURE gradstudy_query",
    "TRUNCATE gradstudy_step",
    "DELETE FROM gradstudy_study",
    "DELETE FROM gradstudy_study RETURNING study_id",
    "INSERT INTO gradstudy_worker (host) VALUES ('x') RETURNING worker_id",
    "REPLACE INTO gradstudy_worker (host) VALUES ('x')",
    "UPDATE gradstudy_study SET budget = 7",
    "WITH s AS (SELECT 1) DELETE FROM gradstudy_study",
    "EXPLAIN DELETE FROM gradstudy_study",
    "ANALYZE FORMAT=JSON DELETE FROM gradstudy_study",
    "ANALYZE TABLE gradstudy_study",
    "OPTIMIZE TABLE gradstudy_study",
    "REPAIR TABLE gradstudy_study",
    "LOCK TABLES gradstudy_study WRITE",
    "UNLOCK TABLES",
    "FLUSH TABLES WITH READ LOCK",
    "FLUSH PRIVILEGES",
    "BACKUP STAGE START",
    "RESET MASTER",
    "PURGE BINARY LOGS BEFORE NOW()",
    "SHUTDOWN",
    "KILL 1",
    "KILL QUERY 1",
    "GRANT ALL ON *.* TO made",
    "SET GLOBAL max_connections = 1",
    "SET PASSWORD = PASSWORD('x')",
    "SET TRANSACTION READ WRITE",
    "SET ROLE NONE",
    "SET STATEMENT max_statement_time = 1 FOR DELETE FROM gradstudy_study",
    "START TRANSACTION READ WRITE",
    "COMMIT",
    "BEGIN NOT ATOMIC DELETE FROM gradstudy_study; END",
    "CALL gradstudy_query('DELETE FROM gradstudy_study')",
    "EXECUTE IMMEDIATE 'DELETE FROM gradstudy_study'",
    "PREPARE made FROM 'DELETE FROM gradstudy_study'",
    "DO RELEASE_ALL_LOCKS()",
    "HANDLER gradstudy_study OPEN",
    "INSTALL SONAME 'made'",
    "CHANGE MASTER TO MASTER_HOST = 'made'",
    "XA START 'made'",
    "USE mysql",
    "DELIMITER //",
    "SELECT 1; DELETE FROM gradstudy_study",
    "'; DELETE FROM gradstudy_study; -- ",
    "",
    ";",
    "-- nothing",
)

READS = (
    "SELECT study FROM trial_result",
    "SELECT number FROM step_result",
    "SELECT n FROM setting_summary",
    "SELECT study_id FROM gradstudy_study",
    "SELECT study_name FROM studies",
    "SELECT value_json FROM trial_system_attributes",
    "WITH s AS (SELECT 1 AS a) SELECT a FROM s",
    "(SELECT 1 AS a) UNION ALL SELECT 2",
    "/* why */ -- what\n SELECT '%s' AS a",
    "  EXPLAIN SELECT * FROM trial_result",
)


@pytest.fixture(params=["postgresql", "mariadb"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def user(url: str) -> Iterator[Connection]:
    """Of the same database, to look at it and to change it."""
    with create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT").connect() as connection:
        yield connection


@pytest.fixture
def rows_of_server() -> Callable[[str, str], list[Any]]:
    """What the server's first user does."""

    def run(url: str, sql: str) -> list[Any]:
        engine = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            result = connection.exec_driver_sql(sql)
            return list(result) if result.returns_rows else []

    return run


@pytest.fixture
def no_role_yet(
    postgresql: EmbeddedServer, postgresql_template: str, rows_of_server: Callable[[str, str], list[Any]]
) -> Iterator[None]:
    """A server whose other databases have not made the role."""
    rows_of_server(postgresql.url, "ALTER ROLE gradstudy_query RENAME TO aside")
    yield
    rows_of_server(postgresql.url, "DROP ROLE IF EXISTS gradstudy_query")
    rows_of_server(postgresql.url, "ALTER ROLE aside RENAME TO gradstudy_query")


def query(db: Database, sql: str, limit_seconds: float | None = None) -> list[Any]:
    with run_query(db, sql, limit_seconds=limit_seconds) as answer:
        return [tuple(row) for chunk in answer.chunks for row in chunk]


def has_more_rights(db: Database) -> bool:
    with run_query(db, "SELECT 1") as answer:
        return answer.has_more_rights


def contents(connection: Connection) -> dict[str, list[Any]]:
    names = inspect(connection).get_table_names()
    return {name: connection.exec_driver_sql(f"SELECT * FROM {name}").all() for name in names}


def test_a_statement_that_does_more_than_read_is_refused(
    db: Database, backend: str, user: Connection, folder: Path, study_id: int
) -> None:
    user.exec_driver_sql("CREATE TABLE secret (word VARCHAR(9))")
    user.exec_driver_sql("CREATE SEQUENCE made_before")
    before = contents(user)
    let_through = []
    for statement in NOT_ON_POSTGRESQL if backend == "postgresql" else NOT_ON_MARIADB:
        try:
            query(db, statement.replace("{folder}", str(folder)), limit_seconds=20)
        except QueryTimeoutError:
            let_through.append(statement)
        except QueryError:
            pass
        else:
            let_through.append(statement)
    assert let_through == []
    assert contents(user) == before
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("has_role", [True, False])
def test_the_results_can_be_read(db: Database, user: Connection, backend: str, study_id: int, has_role: bool) -> None:
    if not has_role:
        take_away(user, backend)
    assert has_more_rights(db) is not has_role
    for sql in READS:
        query(db, sql)
    assert query(db, "SELECT study_name FROM studies") == [("s",)]
    assert query(db, "SELECT '%s' AS a, 1.5 AS b")[0][0] == "%s"
    assert query(db, "SELECT 1 AS a, 2 AS a") == [(1, 2)]


@pytest.mark.parametrize("statement", ["DROP TABLE gradstudy_step", "DELETE FROM gradstudy_study", "SET ROLE NONE"])
def test_without_the_role_nothing_else_is_taken_either(
    db: Database, user: Connection, backend: str, statement: str
) -> None:
    take_away(user, backend)
    with pytest.raises(QueryError):
        query(db, statement)
    assert "gradstudy_step" in inspect(user).get_table_names()


def take_away(user: Connection, backend: str) -> None:
    if backend == "postgresql":
        user.exec_driver_sql("DROP FUNCTION gradstudy_query_open(text)")
    else:
        user.exec_driver_sql("DROP PROCEDURE gradstudy_query")


@pytest.mark.parametrize("backend", ["postgresql"])
@pytest.mark.usefixtures("no_role_yet")
@pytest.mark.parametrize(("right", "made"), [("CREATEROLE", True), ("NOCREATEROLE", False)])
def test_who_may_make_roles_gets_one(
    empty_url: str, rows_of_server: Callable[[str, str], list[Any]], right: str, made: bool
) -> None:
    url = make_url(empty_url)
    name = f"owner_{right.lower()}"
    rows_of_server(empty_url, f"CREATE ROLE {name} LOGIN {right}")
    rows_of_server(empty_url, f"ALTER DATABASE {url.database} OWNER TO {name}")
    with Database.open(url.set(username=name).render_as_string(hide_password=False), create=True) as db:
        with db.engine.connect() as connection:
            assert has_query_role(connection) is made
        assert has_more_rights(db) is not made
        assert query(db, "SELECT * FROM trial_result") == []
        with pytest.raises(QueryError):
            query(db, "INSERT INTO gradstudy_worker (host) VALUES ('x') RETURNING worker_id")


def test_who_may_not_give_rights_gets_no_half_of_a_role(guarded_mariadb_url: str, password: str) -> None:
    url = make_url(guarded_mariadb_url).set(password=password).render_as_string(hide_password=False)
    with Database.open(url, create=True) as db:
        assert has_more_rights(db)
        assert query(db, "SELECT * FROM trial_result") == []


@pytest.mark.parametrize("backend", ["postgresql"])
def test_a_user_who_may_only_read_needs_no_role(
    db: Database, url: str, rows_of_server: Callable[[str, str], list[Any]]
) -> None:
    rows_of_server(url, "CREATE ROLE reader LOGIN")
    rows_of_server(url, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader")
    with Database.open(make_url(url).set(username="reader").render_as_string()) as theirs:
        assert not has_more_rights(theirs)
        assert query(theirs, "SELECT * FROM trial_result") == []
    rows_of_server(url, "DROP OWNED BY reader")
    rows_of_server(url, "DROP ROLE reader")


def test_every_table_and_view_of_ours_can_be_read(db: Database, user: Connection) -> None:
    inspector = inspect(user)
    for name in inspector.get_table_names() + inspector.get_view_names():
        query(db, f"SELECT * FROM {name}")


@pytest.mark.parametrize("name", ["trial_patients", "study_groups", "studies_of_law"])
def test_a_table_of_others_stays_closed(db: Database, name: str) -> None:
    with db.engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE TABLE {name} (patient VARCHAR(9))")
        make_query_role(connection)
    with pytest.raises(QueryError):
        query(db, f"SELECT * FROM {name}")


def test_a_reader_who_pauses_is_not_cut(db: Database, user: Connection, backend: str) -> None:
    """Neither by the clock of the query nor by the server's own."""
    many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 900) SELECT a.i FROM n a, n b"
    with run_query(db, many, limit_seconds=20) as answer:
        next(answer.chunks)
        if backend == "postgresql":
            [(limit,)] = query(db, "SHOW idle_in_transaction_session_timeout")
            assert limit == "0"
        else:
            [(_, limit)] = query(db, "SHOW VARIABLES LIKE 'net_write_timeout'")
            assert int(limit) > 86_400
        assert sum(map(len, answer.chunks)) == 900 * 900 - 1000
