"""Creating a study, or opening the one that has the same spec."""

import os
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from gradstudy.models.tasks.catalogue import find_task, load_task
from gradstudy.models.tasks.errors import TaskError
from gradstudy.models.tasks.module_task import is_module_task
from gradstudy.models.tasks.text_file import file_digest
from gradstudy.storage.database import Database
from gradstudy.storage.errors import NotFoundError, StudyExistsError
from gradstudy.storage.studies import StudyRecord, Versions, create_study, find_study
from gradstudy.study.errors import SpecChangedError, SpecError
from gradstudy.study.spec import StudySpec, differences, parse_spec
from gradstudy.study.varied import variations

if TYPE_CHECKING:
    from gradstudy.models.trainable import Trainable


def stored_spec(record: StudyRecord) -> StudySpec:
    """The spec that a study was created with."""
    return parse_spec(record.spec)


def with_file(spec: StudySpec) -> StudySpec:
    """The spec with the place and the digest of the file that its task reads, so that workers get the same data.

    Raises:
        TaskError: the file cannot be read.
    """
    if is_module_task(spec.task):
        return spec
    task, file = find_task(spec.task)
    if file is None:
        return spec
    path = os.path.abspath(file)  # noqa: PTH100 - a link is kept, as its user may turn it to the data of each machine
    digest = spec.file_digest or file_digest(path)
    return spec.model_copy(update={"task": f"{task.name}:{path}", "file_digest": digest})


def load_data(spec: StudySpec) -> "Trainable":
    """The data of a study's task, or the user's own model; of a study that varies it, with the first of its factors.

    Raises:
        TaskError: it cannot be loaded, or is not what it was.
        SpecError: a batch is larger than it, or the precision is not the task's to choose.
    """
    spec = variations(spec)[0]
    if is_module_task(spec.task):
        from gradstudy.models.user_module import load_module

        if spec.precision != "float32":
            raise SpecError(
                f"the precision of a module task is that of its function, such as torch.autocast in its loss, "
                f"but got {spec.precision!r}"
            )
        return load_module(spec.task, spec.task_options, spec.space.cells, spec.task_folder)
    data = load_task(spec.task, **spec.task_options)
    if spec.file_digest is not None and spec.file_digest != data.file_digest:
        raise TaskError(_changed_file(spec.task, spec.file_digest, data.file_digest))
    if spec.batch_size > len(data.train):
        raise SpecError(
            f"batch_size must be at most the {len(data.train)} pairs that task {spec.task!r} has to train on, "
            f"but got {spec.batch_size}"
        )
    return data


def check_varied_data(spec: StudySpec) -> None:
    """Load what a study's factors make of its data, apart from the first; raises as ``load_data`` does."""
    first, *others = variations(spec)
    seen = [(first.task_options, first.batch_size)]
    for other in others:
        if (other.task_options, other.batch_size) not in seen:
            seen.append((other.task_options, other.batch_size))
            load_data(other)


def _changed_file(task: str, expected: str, found: str | None) -> str:
    return (
        f"the file of task {task!r} has changed: the study was launched with one of digest {expected}, and now it is "
        f"{found}; put the old file back, or launch a study of another name"
    )


def create_or_resume(database: Database, spec: StudySpec) -> StudyRecord:
    """The study of the spec's name, made if there is none.

    Raises:
        SpecChangedError: there is a study of that name with another spec; the text lists what differs.
    """
    try:
        record = find_study(database, spec.name)
    except NotFoundError:
        record = _create(database, spec)
    stored = stored_spec(record)
    if stored.task == spec.task and stored.file_digest and stored.file_digest != spec.file_digest:
        raise SpecChangedError(_changed_file(stored.task, stored.file_digest, spec.file_digest))
    changed = differences(stored, spec)
    if changed:
        raise SpecChangedError(
            f"the study {spec.name!r} exists with another spec (stored -> given): {'; '.join(changed)}; "
            "run `gradstudy launch NAME` without options to resume it, or choose another name"
        )
    return record


def _create(database: Database, spec: StudySpec) -> StudyRecord:
    try:
        create_study(database, spec.name, _located(spec).model_dump(mode="json"), spec.trials, launched_with())
    except StudyExistsError as error:
        try:
            return find_study(database, spec.name)  # another process launched it at the same moment
        except NotFoundError:
            raise error from None  # it is Optuna's, not ours
    return find_study(database, spec.name)


def launched_with() -> Versions:
    """The versions that are kept with a study."""
    return Versions(gradstudy=version("gradstudy"), optuna=version("optuna"), torch=version("torch"))


def _located(spec: StudySpec) -> StudySpec:
    """The spec with the folder that a module task is imported from, for workers that are started elsewhere."""
    if spec.task_folder is None and is_module_task(spec.task):
        return spec.model_copy(update={"task_folder": str(Path.cwd())})
    return spec
