"""How long a study's trials are, and which study it trains longer; trials that count nowhere, each with the reason why.

Rows of all horizons of a study can be asked for side by side.
"""

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

from gradstudy.storage.query_role import make_query_role

revision = "0009"
down_revision = "0008"

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

EXTENDS = "gradstudy:extends"
"""Under this name a study said until now which one it extends."""


def upgrade() -> None:
    """Add the columns, filled from what was kept elsewhere, and make the views anew."""
    connection = op.get_bind()
    op.add_column("gradstudy_study", sa.Column("steps", sa.Integer))
    op.add_column("gradstudy_study", sa.Column("extends", sa.String(32)))
    _fill(connection)
    op.add_column("gradstudy_trial", sa.Column("excluded", sa.Text))
    op.execute("DROP VIEW setting_summary")
    if connection.dialect.name == "sqlite":
        op.execute("DROP VIEW trial_result")
        op.execute(f"CREATE {TRIAL_RESULT}")
    else:
        op.execute(f"CREATE OR REPLACE {TRIAL_RESULT}")
    double = "DOUBLE" if connection.dialect.name in {"mysql", "mariadb"} else "DOUBLE PRECISION"
    op.execute(SETTING_SUMMARY.format(double=double))
    make_query_role(connection)


def _fill(connection: sa.Connection) -> None:
    names = ("study_id", "identity", "spec", "created_at", "steps", "extends")
    study = sa.table("gradstudy_study", *(sa.column(name) for name in names))
    kept = sa.table("study_system_attributes", *(sa.column(name) for name in ("study_id", "key", "value_json")))
    query = sa.select(study.c.study_id, study.c.identity, sa.type_coerce(study.c.spec, sa.JSON), study.c.created_at)
    rows = connection.execute(query).all()
    identities = {(row.study_id, _moment(row.created_at)): row.identity for row in rows}
    said = connection.execute(sa.select(kept.c.study_id, kept.c.value_json).where(kept.c.key == EXTENDS))
    extended = {study_id: json.loads(value)["study"] for study_id, value in said}
    for row in rows:
        spec: Any = row[2]
        root = extended.get(row.study_id)
        known = None if root is None else identities.get((root["study_id"], _moment(root["created_at"])))
        values = {"steps": spec.get("steps"), "extends": known}
        connection.execute(sa.update(study).where(study.c.study_id == row.study_id).values(values))


def _moment(created_at: object) -> str:
    """A time as text, as a driver gives it or as it was written down."""
    return str(created_at).replace("T", " ").removesuffix(".000000")
