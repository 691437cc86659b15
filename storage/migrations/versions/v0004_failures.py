"""How often a trial's worker was lost, and a quick way to the trials that are open."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add a column and an index to the trials."""
    op.add_column("gradstudy_trial", sa.Column("failures", sa.Integer, nullable=False, server_default="0"))
    op.create_index("ix_gradstudy_trial_study_id_outcome", "gradstudy_trial", ["study_id", "outcome"])
