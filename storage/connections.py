"""How the connections of an engine behave, whichever database they are to."""

from sqlalchemy import Engine

from gradstudy.storage.mysql import configure_mysql
from gradstudy.storage.postgresql import configure_postgresql
from gradstudy.storage.sqlite import configure_sqlite


def configure(engine: Engine) -> None:
    """Set what gradstudy's transactions rely on, for gradstudy's own engine and for Optuna's."""
    match engine.dialect.name:
        case "sqlite":
            configure_sqlite(engine)
        case "postgresql":
            configure_postgresql(engine)
        case "mysql" | "mariadb":
            configure_mysql(engine)
