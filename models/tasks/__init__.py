"""Where batches come from: one file per task, and a catalogue of them that does not import torch."""

from gradstudy.models.tasks.catalogue import TASKS, Option, Task, load_task
from gradstudy.models.tasks.errors import TaskError

__all__ = ["TASKS", "Option", "Task", "TaskError", "load_task"]
