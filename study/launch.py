"""Creating a study, or opening the one that has the same spec."""

from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from gradstudy.models.tasks.catalogue import load_task
from gradstudy.models.tasks.module_task import is_module_task
from gradstudy.storage.database import Database
from gradstudy.storage.errors import NotFoundError, StudyExistsError
from gradstudy.storage.studies import StudyRecord, Versions, create_study, find_study
from gradstudy.study.errors import SpecChangedError, SpecError
from gradstudy.study.spec import StudySpec, differences, parse_spec

if TYPE_CHECKING:
    from gradstudy.models.tasks.pairs import TokenPairs
    from gradstudy.models.user_module import UserModule


def stored_spec(record: StudyRecord) -> StudySpec:
    """The spec that a study was created with."""
    return parse_spec(record.spec)


def load_data(spec: StudySpec) -> "TokenPairs | UserModule":
    """The data of a study's task, or the user's own model.

    Raises:
        TaskError: it cannot be loaded.
        SpecError: a batch is larger than it, or the precision is not the task's to choose.
    """
    if is_module_task(spec.task):
        from gradstudy.models.user_module import load_module

        if spec.precision != "float32":
            raise SpecError(
                f"the precision of a module task is that of its function, such as torch.autocast in its loss, "
                f"but got {spec.precision!r}"
            )
        return load_module(spec.task, spec.task_options, spec.space.cells, spec.task_folder)
    data = load_task(spec.task, **spec.task_options)
    if spec.batch_size > len(data.train):
        raise SpecError(
            f"batch_size must be at most the {len(data.train)} pairs that task {spec.task!r} has to train on, "
            f"but got {spec.batch_size}"
        )
    return data


def create_or_resume(database: Database, spec: StudySpec) -> StudyRecord:
    """The study of the spec's name, made if there is none.

    Raises:
        SpecChangedError: there is a study of that name with another spec; the text lists what differs.
    """
    try:
        record = find_study(database, spec.name)
    except NotFoundError:
        record = _create(database, spec)
    changed = differences(stored_spec(record), spec)
    if changed:
        raise SpecChangedError(
            f"the study {spec.name!r} exists with another spec (stored -> given): {'; '.join(changed)}; "
            "run `gradstudy launch NAME` without options to resume it, or choose another name"
        )
    return record


def _create(database: Database, spec: StudySpec) -> StudyRecord:
    versions = Versions(gradstudy=version("gradstudy"), optuna=version("optuna"), torch=version("torch"))
    try:
        create_study(database, spec.name, _located(spec).model_dump(mode="json"), spec.trials, versions)
    except StudyExistsError as error:
        try:
            return find_study(database, spec.name)  # another process launched it at the same moment
        except NotFoundError:
            raise error from None  # it is Optuna's, not ours
    return find_study(database, spec.name)


def _located(spec: StudySpec) -> StudySpec:
    """The spec with the folder that a module task is imported from, for workers that are started elsewhere."""
    if spec.task_folder is None and is_module_task(spec.task):
        return spec.model_copy(update={"task_folder": str(Path.cwd())})
    return spec
