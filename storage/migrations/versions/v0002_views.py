"""The views: what a person queries. No view drops a trial because of how it ended."""

from alembic import op

revision = "0002"
down_revision = "0001"

TRIAL_RESULT = """
CREATE VIEW trial_result AS
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
    t.started_at, t.finished_at
FROM gradstudy_trial t
JOIN trials ON trials.trial_id = t.trial_id
JOIN studies ON studies.study_id = t.study_id
LEFT JOIN gradstudy_worker w ON w.worker_id = t.worker_id
"""

STEP_RESULT = """
CREATE VIEW step_result AS
SELECT
    studies.study_name AS study,
    trials.number AS number,
    s.trial_id,
    t.cell, t.strategy, t.threshold,
    s.learning_rate,
    t.outcome,
    s.step, s.loss, s.grad_norm, s.applied_norm
FROM gradstudy_step s
JOIN gradstudy_trial t ON t.trial_id = s.trial_id
JOIN trials ON trials.trial_id = s.trial_id
JOIN studies ON studies.study_id = t.study_id
"""

SETTING_SUMMARY = """
CREATE VIEW setting_summary AS
SELECT
    study, cell, strategy, threshold_bin, learning_rate_bin,
    COUNT(*) AS n,
    COUNT(CASE WHEN outcome = 'diverged' THEN 1 END) AS diverged,
    CAST(COUNT(CASE WHEN outcome = 'diverged' THEN 1 END) AS {double}) / COUNT(*) AS rate
FROM trial_result
WHERE outcome IN ('trained', 'stalled', 'diverged')
GROUP BY study, cell, strategy, threshold_bin, learning_rate_bin
"""


def upgrade() -> None:
    """Make the views."""
    mysql = op.get_bind().dialect.name in {"mysql", "mariadb"}
    op.execute(TRIAL_RESULT)
    op.execute(STEP_RESULT)
    op.execute(SETTING_SUMMARY.format(double="DOUBLE" if mysql else "DOUBLE PRECISION"))
