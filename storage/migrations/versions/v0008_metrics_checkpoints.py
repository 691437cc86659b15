"""What was measured beside the loss, states of long trials, and where a trial was when its worker was lost."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.mysql import LONGBLOB
from sqlalchemy.dialects.postgresql import JSONB

from gradstudy.storage.query_role import make_query_role

revision = "0008"
down_revision = "0007"

TRIAL_RESULT = """
VIEW trial_result AS
SELECT
    studies.study_name AS study,
    trials.number AS number,
    t.trial_id, t.ordinal,
    t.cell, t.strategy, t.threshold, t.learning_rate, t.threshold_bin, t.learning_rate_bin, t.factors,
    t.seed, t.attempt,
    t.outcome, t.reason, t.diverged_at_step, t.steps,
    t.initial_loss, t.final_loss, t.initial_validation_loss, t.validation_loss, t.objective,
    t.grad_norm_p50, t.grad_norm_p90, t.grad_norm_max, t.clipped_fraction, t.spikes, t.skipped_steps,
    t.seconds, t.worker_id AS worker, w.host,
    trials.state AS state,
    t.started_at, t.finished_at,
    t.metrics
FROM gradstudy_trial t
JOIN trials ON trials.trial_id = t.trial_id
JOIN studies ON studies.study_id = t.study_id
LEFT JOIN gradstudy_worker w ON w.worker_id = t.worker_id
"""


TRIAL_DELETED = """
CREATE TRIGGER gradstudy_checkpoint_deleted AFTER DELETE ON gradstudy_trial
BEGIN
    DELETE FROM gradstudy_checkpoint WHERE id = OLD.id;
END
"""


def upgrade() -> None:
    """Add the columns, make the view anew, in place where another view rests on it, and add the table."""
    op.add_column("gradstudy_trial", sa.Column("metrics", sa.JSON().with_variant(JSONB(), "postgresql")))
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
    if op.get_bind().dialect.name == "sqlite":
        op.execute(TRIAL_DELETED)
        op.execute("DROP VIEW trial_result")
        op.execute(f"CREATE {TRIAL_RESULT}")
    else:
        op.execute(f"CREATE OR REPLACE {TRIAL_RESULT}")
    make_query_role(op.get_bind())
