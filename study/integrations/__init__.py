"""What was trained elsewhere: runs recorded from other loops, studies of plain Optuna programs, training logs."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gradstudy.study.integrations.loops.record_run import record_run

__all__ = ["record_run"]

_HOMES = {"record_run": "loops.record_run"}


def __getattr__(name: str) -> Any:
    """Load what is asked for when it is: callbacks need packages that few have."""
    if name in _HOMES:
        return getattr(import_module(f"gradstudy.study.integrations.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
