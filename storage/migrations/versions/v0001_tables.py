"""The first tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables. Optuna's are there already."""
    _make_study()
    _make_worker()
    _make_trial()
    _make_step()


def _make_study() -> None:
    op.create_table(
        "gradstudy_study",
        sa.Column("study_id", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("spec", sa.JSON, nullable=False),
        sa.Column("budget", sa.Integer, nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.Column("gradstudy_version", sa.String(64), nullable=False),
        sa.Column("optuna_version", sa.String(64), nullable=False),
        sa.Column("torch_version", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("study_id", name="pk_gradstudy_study"),
        sa.ForeignKeyConstraint(
            ["study_id"], ["studies.study_id"], name="fk_gradstudy_study_study_id", ondelete="CASCADE"
        ),
    )


def _make_worker() -> None:
    op.create_table(
        "gradstudy_worker",
        sa.Column("worker_id", sa.Integer, nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("device", sa.String(64), nullable=False),
        sa.Column("started_at", sa.DateTime, nullable=False),
        sa.Column("last_seen_at", sa.DateTime, nullable=False),
        sa.Column("stopped_at", sa.DateTime),
        sa.PrimaryKeyConstraint("worker_id", name="pk_gradstudy_worker"),
        sqlite_autoincrement=True,
    )


def _make_trial() -> None:
    op.create_table(
        "gradstudy_trial",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("study_id", sa.Integer, nullable=False),
        sa.Column("ordinal", sa.Integer, nullable=False),
        sa.Column("trial_id", sa.Integer),
        sa.Column("worker_id", sa.Integer),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("seed", sa.BigInteger, nullable=False),
        sa.Column("cell", sa.String(64)),
        sa.Column("strategy", sa.String(64)),
        sa.Column("threshold", sa.Double),
        sa.Column("threshold_bin", sa.Double),
        sa.Column("learning_rate", sa.Double),
        sa.Column("learning_rate_bin", sa.Double),
        sa.Column("factors", sa.JSON().with_variant(JSONB(), "postgresql")),
        sa.Column("outcome", sa.String(16)),
        sa.Column("reason", sa.String(64)),
        sa.Column("diverged_at_step", sa.Integer),
        sa.Column("steps", sa.Integer, nullable=False),
        sa.Column("initial_loss", sa.Double),
        sa.Column("final_loss", sa.Double),
        sa.Column("initial_validation_loss", sa.Double),
        sa.Column("validation_loss", sa.Double),
        sa.Column("objective", sa.Double),
        sa.Column("grad_norm_p50", sa.Double),
        sa.Column("grad_norm_p90", sa.Double),
        sa.Column("grad_norm_max", sa.Double),
        sa.Column("clipped_fraction", sa.Double),
        sa.Column("spikes", sa.Integer),
        sa.Column("skipped_steps", sa.Integer),
        sa.Column("seconds", sa.Double),
        sa.Column("started_at", sa.DateTime),
        sa.Column("finished_at", sa.DateTime),
        sa.Column("error", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_gradstudy_trial"),
        sa.UniqueConstraint("study_id", "ordinal", name="uq_gradstudy_trial_study_id_ordinal"),
        sa.UniqueConstraint("trial_id", name="uq_gradstudy_trial_trial_id"),
        sa.ForeignKeyConstraint(
            ["study_id"],
            ["gradstudy_study.study_id"],
            name="fk_gradstudy_trial_study_id",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["trial_id"], ["trials.trial_id"], name="fk_gradstudy_trial_trial_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["worker_id"], ["gradstudy_worker.worker_id"], name="fk_gradstudy_trial_worker_id"),
        sa.CheckConstraint(
            "outcome IN ('trained', 'stalled', 'diverged', 'pruned', 'failed')",
            name="ck_gradstudy_trial_outcome",
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_gradstudy_trial_worker_id", "gradstudy_trial", ["worker_id"])


def _make_step() -> None:
    op.create_table(
        "gradstudy_step",
        sa.Column("trial_id", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("step", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("loss", sa.Double),
        sa.Column("grad_norm", sa.Double),
        sa.Column("applied_norm", sa.Double),
        sa.Column("learning_rate", sa.Double),
        sa.PrimaryKeyConstraint("trial_id", "step", name="pk_gradstudy_step"),
        sa.ForeignKeyConstraint(
            ["trial_id"], ["trials.trial_id"], name="fk_gradstudy_step_trial_id", ondelete="CASCADE"
        ),
        sqlite_with_rowid=False,
    )
