"""Trials that count nowhere, each with the reason why."""

import sqlalchemy as sa
from alembic import op

from gradstudy.storage.query_role import make_query_role

revision = "0010"
down_revision = "0009"

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
    t.metrics,
    s.steps AS horizon,
    COALESCE(root.study_name, studies.study_name) AS root_study,
    t.excluded
FROM gradstudy_trial t
JOIN trials ON trials.trial_id = t.trial_id
JOIN studies ON studies.study_id = t.study_id
JOIN gradstudy_study s ON s.study_id = t.study_id
LEFT JOIN gradstudy_study extended ON extended.identity = s.extends
LEFT JOIN studies root ON root.study_id = extended.study_id
LEFT JOIN gradstudy_worker w ON w.worker_id = t.worker_id
"""

SETTING_SUMMARY = """
CREATE VIEW setting_summary AS
SELECT
    study, cell, strategy, factors, threshold_bin, learning_rate_bin,
    COUNT(*) AS n,
    COUNT(CASE WHEN outcome = 'diverged' THEN 1 END) AS diverged,
    CAST(COUNT(CASE WHEN outcome = 'diverged' THEN 1 END) AS {double}) / COUNT(*) AS rate
FROM trial_result
WHERE outcome IN ('trained', 'stalled', 'diverged') AND excluded IS NULL
GROUP BY study, cell, strategy, factors, threshold_bin, learning_rate_bin
"""


def upgrade() -> None:
    """Add the column, and make the views anew."""
    backend = op.get_bind().dialect.name
    op.add_column("gradstudy_trial", sa.Column("excluded", sa.Text))
    op.execute("DROP VIEW setting_summary")
    if backend == "sqlite":
        op.execute("DROP VIEW trial_result")
        op.execute(f"CREATE {TRIAL_RESULT}")
    else:
        op.execute(f"CREATE OR REPLACE {TRIAL_RESULT}")
    double = "DOUBLE" if backend in {"mysql", "mariadb"} else "DOUBLE PRECISION"
    op.execute(SETTING_SUMMARY.format(double=double))
    make_query_role(op.get_bind())
