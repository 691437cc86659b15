"""Which strategies need recurrent layers of the built-in models."""

from gradstudy.models.strategies import STRATEGIES
from gradstudy.models.tasks.module_task import is_module_task
from gradstudy.study.spec.parts import SearchSpace


def has_recurrent_layers(task: str, space: SearchSpace) -> bool:
    """Whether the models of the task have recurrent layers of ours."""
    return not (is_module_task(task) or "dense" in space.cells)


def check_recurrence(task: str, space: SearchSpace) -> None:
    """Raise ValueError where a strategy clips inside recurrent layers and the task's models have none of ours."""
    inside = [name for name in space.strategies if STRATEGIES[name].inside]
    if inside and not has_recurrent_layers(task, space):
        others = ", ".join(name for name, entry in STRATEGIES.items() if not entry.inside)
        raise ValueError(
            f"space.strategies of task {task!r} must be among {others}, but got {inside[0]!r}, which clips inside the "
            "recurrent layers of gradstudy's own models"
        )
