"""What was trained elsewhere: runs recorded from other loops, studies of plain Optuna programs, training logs."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gradstudy.study.integrations.loops.hugging_face_callback import GradstudyTrainerCallback
    from gradstudy.study.integrations.loops.lightning_callback import GradstudyCallback
    from gradstudy.study.integrations.loops.record_run import record_run

__all__ = ["GradstudyCallback", "GradstudyTrainerCallback", "record_run"]

_HOMES = {
    "GradstudyCallback": "loops.lightning_callback",
    "GradstudyTrainerCallback": "loops.hugging_face_callback",
    "record_run": "loops.record_run",
}


def __getattr__(name: str) -> Any:
    """Load what is asked for when it is: callbacks need packages that few have."""
    if name in _HOMES:
        return getattr(import_module(f"gradstudy.study.integrations.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
