"""The role that a person's own SQL runs under on a server.

A later migration that makes a table, or a view anew, calls `make_query_role` again.
"""

from alembic import op

from gradstudy.storage.query_role import make_query_role

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Make the role where that is allowed."""
    make_query_role(op.get_bind())
