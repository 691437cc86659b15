"""``module:package.module:function``: the name of the user's own model. Does not import torch."""

import re

from gradstudy.models.tasks.errors import TaskError

PREFIX = "module:"

FORM = "module:package.module:function"

_NAME = re.compile(r"module:(?P<module>[^\W\d]\w*(\.[^\W\d]\w*)*):(?P<function>[^\W\d]\w*)")


def is_module_task(task: str) -> bool:
    """Whether a task is the user's own model."""
    return task.startswith(PREFIX)


def check_module_task(task: str) -> None:
    """Raise TaskError unless ``task`` is a name of the form ``module:package.module:function``."""
    if not _NAME.fullmatch(task):
        raise TaskError(f"must be of the form {FORM} to name a model of your own, but got {task!r}")
