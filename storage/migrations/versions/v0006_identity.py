"""What tells a study and a worker's process apart from all others, and which studies a machine has set aside."""

from uuid import uuid4

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

NUMBERED = {"studies": "study_id", "trials": "trial_id"}
"""Optuna's tables whose numbers SQLite would give out again after a delete."""

SET_ASIDE_DELETED = """
CREATE TRIGGER gradstudy_set_aside_deleted AFTER DELETE ON gradstudy_study
BEGIN
    DELETE FROM gradstudy_set_aside WHERE study_id = OLD.study_id;
END
"""


def upgrade() -> None:
    """Add them; on SQLite, let no number of Optuna's be used twice."""
    connection = op.get_bind()
    is_sqlite = connection.dialect.name == "sqlite"
    if is_sqlite:
        _never_reuse_numbers(connection)
    op.add_column("gradstudy_study", sa.Column("identity", sa.String(32), nullable=False, server_default=""))
    study = sa.table("gradstudy_study", sa.column("study_id"), sa.column("identity"))
    for study_id in connection.scalars(sa.select(study.c.study_id)).all():
        connection.execute(sa.update(study).where(study.c.study_id == study_id).values(identity=uuid4().hex))
    op.create_index("ix_gradstudy_study_identity", "gradstudy_study", ["identity"], unique=True)
    op.add_column("gradstudy_worker", sa.Column("process_space", sa.String(64)))
    op.create_table(
        "gradstudy_set_aside",
        sa.Column(
            "study_id",
            sa.Integer,
            sa.ForeignKey("gradstudy_study.study_id", ondelete="CASCADE", name="fk_gradstudy_set_aside_study_id"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("host", sa.String(255), primary_key=True),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("code", sa.String(64)),
        sa.Column("since", sa.DateTime, nullable=False),
        sa.PrimaryKeyConstraint("study_id", "host", name="pk_gradstudy_set_aside"),
    )
    if is_sqlite:
        op.execute(SET_ASIDE_DELETED)


def _never_reuse_numbers(connection: sa.Connection) -> None:
    """Make Optuna's keys AUTOINCREMENT in place: making its tables anew would take their rows with it.

    It changes nothing of how rows are stored (https://sqlite.org/lang_altertable.html, "Making Other Kinds Of Table
    Schema Changes"). Where SQLite was built to forbid it, a study's ``identity`` is what is left.
    """
    schema = sa.table("sqlite_master", sa.column("type"), sa.column("name"), sa.column("sql"))
    version = connection.exec_driver_sql("PRAGMA schema_version").scalar_one()
    connection.exec_driver_sql("PRAGMA writable_schema = ON")
    for table, key in NUMBERED.items():
        numbered = sa.func.replace(schema.c.sql, f"PRIMARY KEY ({key})", f"PRIMARY KEY ({key} AUTOINCREMENT)")
        connection.execute(
            sa.update(schema).where(schema.c.type == "table", schema.c.name == table).values(sql=numbered)
        )
    connection.exec_driver_sql(f"PRAGMA schema_version = {version + 1}")
    connection.exec_driver_sql("PRAGMA writable_schema = RESET")
