"""On SQLite, deletes that cascade also for connections that do not honour foreign keys.

optuna-dashboard opens the file without ``PRAGMA foreign_keys``, and would leave gradstudy's rows behind.
"""

from alembic import op

revision = "0003"
down_revision = "0002"

TRIGGERS = (
    """
CREATE TRIGGER gradstudy_trial_deleted AFTER DELETE ON trials
BEGIN
    DELETE FROM gradstudy_step WHERE trial_id = OLD.trial_id;
    DELETE FROM gradstudy_trial WHERE trial_id = OLD.trial_id;
END
""",
    """
CREATE TRIGGER gradstudy_study_deleted AFTER DELETE ON studies
BEGIN
    DELETE FROM gradstudy_trial WHERE study_id = OLD.study_id;
    DELETE FROM gradstudy_study WHERE study_id = OLD.study_id;
END
""",
)


def upgrade() -> None:
    """Make the triggers; other databases enforce their foreign keys for everybody."""
    if op.get_bind().dialect.name == "sqlite":
        for trigger in TRIGGERS:
            op.execute(trigger)
