"""How settings are searched: specs, divergence, the worker loop and the reports.

``from gradstudy.study import open_study`` reads a study from Python; ``from gradstudy.study import FrontierSampler``
searches the edge of stability in anybody's Optuna study.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gradstudy.study.opened_study import open_study
    from gradstudy.study.search.frontier_sampler import FrontierSampler

__all__ = ["FrontierSampler", "open_study"]

_HOMES = {"FrontierSampler": "search.frontier_sampler", "open_study": "opened_study"}


def __getattr__(name: str) -> Any:
    """Load what is asked for when it is: most importers of this room need neither pandas nor Optuna."""
    if name in _HOMES:
        return getattr(import_module(f"gradstudy.study.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
