"""A summary of settings that tells the values of factors apart."""

from alembic import op

revision = "0005"
down_revision = "0004"

SETTING_SUMMARY = """
CREATE VIEW setting_summary AS
SELECT
    study, cell, strategy, factors, threshold_bin, learning_rate_bin,
    COUNT(*) AS n,
    COUNT(CASE WHEN outcome = 'diverged' THEN 1 END) AS diverged,
    CAST(COUNT(CASE WHEN outcome = 'diverged' THEN 1 END) AS {double}) / COUNT(*) AS rate
FROM trial_result
WHERE outcome IN ('trained', 'stalled', 'diverged')
GROUP BY study, cell, strategy, factors, threshold_bin, learning_rate_bin
"""


def upgrade() -> None:
    """Make the view anew."""
    mysql = op.get_bind().dialect.name in {"mysql", "mariadb"}
    op.execute("DROP VIEW setting_summary")
    op.execute(SETTING_SUMMARY.format(double="DOUBLE" if mysql else "DOUBLE PRECISION"))
