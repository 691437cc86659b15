"""What of a model a task has a use for."""

from collections.abc import Sequence

from gradstudy.models.optimizer_settings import OPTIMIZERS
from gradstudy.models.tasks.task import Task
from gradstudy.study.spec.parts import ModelSpec


def check_model(model: ModelSpec, task: Task, loss: str) -> None:
    """Raise ValueError where a part of the model means nothing for the task, or two parts do not fit together.

    Args:
        model: of every trial.
        task: one of the catalogue.
        loss: that trials are trained with.
    """
    given = {
        "model.attention": model.attention != "none",
        "model.tied": model.tied,
        "model.bidirectional": model.bidirectional,
        "model.label_smoothing": model.label_smoothing > 0,
    }
    for name in (name for name, is_given in given.items() if is_given):
        if name in ("model.attention", "model.tied") and not task.decodes:
            raise ValueError(f"{name} needs a decoder, which task {task.name!r} does not have")
        if name in ("model.tied", "model.label_smoothing") and loss != "cross_entropy":
            raise ValueError(f"{name} needs symbols to predict, but task {task.name!r} has real values")
        if name == "model.bidirectional" and "dense" in task.cells:
            raise ValueError(f"{name} needs a recurrent encoder, which task {task.name!r} does not have")
    if model.tied and model.embedding_size not in (None, model.hidden_size):
        raise ValueError(
            f"model.tied needs an embedding_size that is the hidden_size ({model.hidden_size}), "
            f"but got {model.embedding_size}"
        )


def check_own(optimizer: str, cells: Sequence[str], task: Task) -> None:
    """Raise ValueError where a task of the catalogue is to be trained as only a model of the user's own can be.

    Args:
        optimizer: of every trial.
        cells: that are searched.
        task: one of the catalogue.
    """
    if optimizer == "own":
        raise ValueError(
            f"optimizer 'own' is that of a model of your own: the built-in tasks take {', '.join(OPTIMIZERS)}"
        )
    for cell in cells:
        if cell not in task.cells:
            raise ValueError(f"space.cells of task {task.name!r} must be {' or '.join(task.cells)}, but got {cell!r}")
