"""The data of a study's task, as every worker loads them, and the models that fit them. Does not import torch."""

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from gradstudy.models.model_shape import ModelShape
from gradstudy.models.tasks.catalogue import load_task
from gradstudy.models.tasks.errors import TaskError
from gradstudy.models.tasks.module_task import is_module_task
from gradstudy.study.errors import SpecError
from gradstudy.study.spec.study_spec import StudySpec
from gradstudy.study.spec.variations import variations

if TYPE_CHECKING:
    from gradstudy.models.cell_names import Cell
    from gradstudy.models.trainable import TaskData, Trainable
    from gradstudy.study.spec.parts import CellName


def load_data(spec: StudySpec) -> "Trainable":
    """The data of a study's task, or the user's own model; of a study that varies it, with the first of its factors.

    Raises:
        TaskError: it cannot be loaded, or is not what it was.
        SpecError: a batch is larger than it, or the precision is not the task's to choose.
    """
    spec = variations(spec)[0]
    if is_module_task(spec.task):
        from gradstudy.models.user_module.loading import load_module

        if spec.precision != "float32":
            raise SpecError(
                f"the precision of a module task is that of its function, such as torch.autocast in its loss, "
                f"but got {spec.precision!r}"
            )
        return load_module(spec.task, spec.task_options, spec.space.cells, spec.task_folder)
    data = _kept.get(_source(spec)) or load_task(spec.task, **spec.task_options)
    if spec.file_digest is not None and spec.file_digest != data.file_digest:
        raise TaskError(changed_file(spec.task, spec.file_digest, data.file_digest))
    if spec.batch_size > len(data.train):
        raise SpecError(
            f"batch_size must be at most the {len(data.train)} pairs that task {spec.task!r} has to train on, "
            f"but got {spec.batch_size}"
        )
    return data


_kept: "dict[str, TaskData]" = {}
"""By where they come from: data that ``load_data`` finds loaded."""


def keep_data(spec: StudySpec) -> None:
    """Load the data of a study's task, for this process and those that are forked from it; a user's model is not kept.

    Raises:
        TaskError: they cannot be loaded.
    """
    first = variations(spec)[0]
    if not is_module_task(first.task):
        _kept[_source(first)] = load_task(first.task, **first.task_options)


def _source(spec: StudySpec) -> str:
    return json.dumps([spec.task, spec.task_options], sort_keys=True)


def check_varied_data(spec: StudySpec) -> None:
    """Load what a study's factors make of its data, apart from the first; raises as ``load_data`` does."""
    first, *others = variations(spec)
    seen = [(first.task_options, first.batch_size)]
    for other in others:
        if (other.task_options, other.batch_size) not in seen:
            seen.append((other.task_options, other.batch_size))
            load_data(other)


def changed_file(task: str, expected: str, found: str | None) -> str:
    """What is said of a file that is not what it was when its study was launched."""
    return (
        f"the file of task {task!r} has changed: the study was launched with one of digest {expected}, and now it is "
        f"{found}; put the old file back, or launch a study of another name"
    )


def model_shape(spec: StudySpec, cell: "CellName", data: "TaskData") -> ModelShape:
    """The models that a study trains with one cell."""
    model, sizes = spec.model, cast("dict[str, Any]", data.sizes)
    shape = ModelShape(
        cell=cast("Cell", cell),
        **sizes,
        embedding_size=model.embedding_size or model.hidden_size,
        hidden_size=model.hidden_size,
        layers=model.layers,
        bidirectional=model.bidirectional,
        attention=model.attention,
        tied=model.tied,
        label_smoothing=model.label_smoothing,
        dropout=model.dropout,
        decoder=data.decoder,
        loss=spec.trained_loss,
        forget_bias=model.forget_bias,
    )
    if model.parametrization == "standard":
        return shape
    embedding = None if model.tied else model.embedding_size
    return replace(
        shape, base=replace(shape, hidden_size=model.base_width, embedding_size=embedding or model.base_width)
    )
