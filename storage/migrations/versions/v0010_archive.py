"""Where steps are that were moved out of the database."""

import sqlalchemy as sa
from alembic import op

from gradstudy.storage.query_role import make_query_role

revision = "0010"
down_revision = "0009"

ARCHIVE_DELETED = """
CREATE TRIGGER gradstudy_archive_deleted AFTER DELETE ON gradstudy_study
BEGIN
    DELETE FROM gradstudy_archive WHERE study_id = OLD.study_id;
END
"""


def upgrade() -> None:
    """Add the table; on SQLite also for connections that do not honour foreign keys."""
    op.create_table(
        "gradstudy_archive",
        sa.Column(
            "study_id",
            sa.Integer,
            sa.ForeignKey("gradstudy_study.study_id", ondelete="CASCADE", name="fk_gradstudy_archive_study_id"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("file", sa.String(64), primary_key=True),
        sa.Column("folder", sa.Text, nullable=False),
        sa.Column("first_number", sa.Integer, nullable=False),
        sa.Column("last_number", sa.Integer, nullable=False),
        sa.Column("step_rows", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("study_id", "file", name="pk_gradstudy_archive"),
    )
    if op.get_bind().dialect.name == "sqlite":
        op.execute(ARCHIVE_DELETED)
    make_query_role(op.get_bind())
