"""What Alembic runs: the migrations, on the connection that `gradstudy.storage.migrate` passes."""

from typing import Any

from alembic import context

from gradstudy.storage.migrate import VERSION_TABLE
from gradstudy.storage.schema import Base


def is_ours(name: str | None, kind: str, parents: Any) -> bool:
    """Whether a comparison of schema and database looks at it; Optuna's tables are not ours to compare."""
    return kind != "table" or (name is not None and name.startswith("gradstudy_"))


def is_ours_in_schema(item: Any, name: str | None, kind: str, reflected: bool, other: Any) -> bool:
    """The same for what `schema` declares: its stubs of Optuna's tables are left out."""
    return is_ours(name, kind, None)


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    version_table=VERSION_TABLE,
    include_name=is_ours,
    include_object=is_ours_in_schema,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
