"""How the connections of an engine behave, whichever database they are to."""

from typing import Any

from sqlalchemy import Engine, event

from gradstudy.storage.errors import UrlError
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
    event.listen(engine, "do_connect", _connect)  # after what changes how to connect


def _connect(dialect: Any, record: Any, arguments: Any, options: Any) -> Any:
    """Connect; where a driver cannot even try, it is the URL that is wrong.

    Raises:
        UrlError: in the place of what the driver raised, which may repeat a password.
    """
    try:
        return dialect.connect(*arguments, **options)
    except dialect.loaded_dbapi.OperationalError:
        raise
    except Exception as error:
        raise UrlError(
            f"the driver cannot use this database URL ({type(error).__name__}); look at its user, password and options"
        ) from None
