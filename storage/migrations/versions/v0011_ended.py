"""How many trials of each study have ended, as sums; and an index of when they did."""

import sqlalchemy as sa
from alembic import op

from gradstudy.storage.query_role import make_query_role

revision = "0011"
down_revision = "0010"

OUTCOMES = ("trained", "stalled", "diverged", "pruned", "failed")
SHARES = 16

COUNTED = ", ".join(
    f"COUNT(CASE WHEN t.excluded IS NULL AND t.outcome = '{outcome}' THEN 1 END)" for outcome in OUTCOMES
)
FILL = f"""
INSERT INTO gradstudy_ended (study_id, share, {", ".join(OUTCOMES)}, excluded)
SELECT s.study_id, 0, {COUNTED}, COUNT(t.excluded)
FROM gradstudy_study s
LEFT JOIN gradstudy_trial t ON t.study_id = s.study_id
GROUP BY s.study_id
"""
EMPTY = "INSERT INTO gradstudy_ended (study_id, share) SELECT study_id, {share} FROM gradstudy_study"
ENDED_DELETED = """
CREATE TRIGGER gradstudy_ended_deleted AFTER DELETE ON gradstudy_study
BEGIN
    DELETE FROM gradstudy_ended WHERE study_id = OLD.study_id;
END
"""


def upgrade() -> None:
    """Add the table, filled with what there is; on SQLite also for connections that do not honour foreign keys."""
    op.create_table(
        "gradstudy_ended",
        sa.Column(
            "study_id",
            sa.Integer,
            sa.ForeignKey("gradstudy_study.study_id", ondelete="CASCADE", name="fk_gradstudy_ended_study_id"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("share", sa.Integer, primary_key=True, autoincrement=False),
        *(sa.Column(name, sa.Integer, nullable=False, server_default="0") for name in (*OUTCOMES, "excluded")),
        sa.Column("marks", sa.BigInteger, nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("study_id", "share", name="pk_gradstudy_ended"),
    )
    op.execute(FILL)
    for share in range(1, SHARES):
        op.execute(EMPTY.format(share=share))
    op.create_index("ix_gradstudy_trial_study_id_finished_at", "gradstudy_trial", ["study_id", "finished_at"])
    if op.get_bind().dialect.name == "sqlite":
        op.execute(ENDED_DELETED)
    make_query_role(op.get_bind())
