"""gradstudy's Alembic environment; `gradstudy.storage.migrate` runs it."""
