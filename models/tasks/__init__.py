"""Where batches come from: one file per task, and a catalogue of them that does not import torch."""

from gradstudy.models.tasks.catalogue import TASKS, find_task, load_task
from gradstudy.models.tasks.errors import TaskError
from gradstudy.models.tasks.options import Option
from gradstudy.models.tasks.task import Task

__all__ = ["TASKS", "Option", "Task", "TaskError", "find_task", "load_task"]
