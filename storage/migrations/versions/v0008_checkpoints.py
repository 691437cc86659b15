"""States of long trials that another worker goes on from, and where a trial was when its worker was lost."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.mysql import LONGBLOB

from gradstudy.storage.query_role import make_query_role

revision = "0008"
down_revision = "0007"

TRIAL_DELETED = """
CREATE TRIGGER gradstudy_checkpoint_deleted AFTER DELETE ON gradstudy_trial
BEGIN
    DELETE FROM gradstudy_checkpoint WHERE id = OLD.id;
END
"""


def upgrade() -> None:
    """Add the table and the columns."""
    connection = op.get_bind()
    op.add_column("gradstudy_trial", sa.Column("losses", sa.Integer, nullable=False, server_default="0"))
    op.add_column("gradstudy_trial", sa.Column("lost_at", sa.Integer))
    op.create_table(
        "gradstudy_checkpoint",
        sa.Column(
            "id",
            sa.Integer,
            sa.ForeignKey("gradstudy_trial.id", ondelete="CASCADE", name="fk_gradstudy_checkpoint_id"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("step", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("part", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("state", sa.LargeBinary().with_variant(LONGBLOB(), "mysql", "mariadb"), nullable=False),
        sa.PrimaryKeyConstraint("id", "step", "part", name="pk_gradstudy_checkpoint"),
    )
    if connection.dialect.name == "sqlite":
        op.execute(TRIAL_DELETED)
    make_query_role(connection)
