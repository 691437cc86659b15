"""How settings are searched: specs, divergence, the worker loop and the reports.

``from gradstudy.study import open_study`` reads a study from Python.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gradstudy.study.opened_study import open_study

__all__ = ["open_study"]


def __getattr__(name: str) -> Any:
    """Load what reads studies when it is asked for: most of this room's importers do not need pandas."""
    if name in __all__:
        from gradstudy.study import opened_study

        return getattr(opened_study, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
