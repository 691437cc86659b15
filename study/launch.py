"""Creating a study, or opening the one that has the same spec; chosen settings of it."""

import os
from collections.abc import Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from gradstudy.models.tasks.catalogue import find_task
from gradstudy.models.tasks.files.text_file import file_digest, files_of
from gradstudy.models.tasks.module_task import is_module_task
from gradstudy.storage.database import Database
from gradstudy.storage.errors import NotFoundError, PlainStudyError, StudyExistsError
from gradstudy.storage.queue import SettingRow, enqueue_chosen
from gradstudy.storage.studies import EXTERNAL, StudyRecord, Versions, create_study, find_study
from gradstudy.study.divergence import DivergenceRule
from gradstudy.study.errors import ExternalStudyError, SpecChangedError, SpecError
from gradstudy.study.spec.differences import differences
from gradstudy.study.spec.parts import Like
from gradstudy.study.spec.seeds import trial_seed
from gradstudy.study.spec.study_spec import StudySpec, stored_spec
from gradstudy.study.training.data import changed_file, load_data


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
    # A link is kept, as its user may turn it to the data of each machine.
    path = ",".join(os.path.abspath(each) for each in files_of(file))  # noqa: PTH100
    digest = spec.file_digest or file_digest(path)
    return spec.model_copy(update={"task": f"{task.name}:{path}", "file_digest": digest})


def create_or_resume(database: Database, spec: StudySpec) -> StudyRecord:
    """The study of the spec's name, made if there is none.

    Raises:
        SpecChangedError: there is a study of that name with another spec; the text lists what differs.
        NotFoundError: there is no study that it is to be like.
        SpecError: that study tells nothing of this one's frontiers.
    """
    try:
        record = find_study(database, spec.name)
    except NotFoundError:
        record = _create(database, spec)
    stored = stored_spec(record)
    kept: dict[str, object] = {"divergence": spec.divergence.model_copy(update={"version": stored.divergence.version})}
    if "own_draws" not in record.spec:  # it is older than that choice
        kept["own_draws"] = stored.own_draws
    if spec.like is not None and spec.like == Like(study=stored.like.study if stored.like else ""):
        kept["like"] = stored.like  # what it had found when this one was launched
    if "optimizer" not in spec.model_fields_set:
        kept["optimizer"] = stored.optimizer
    spec = spec.model_copy(update=kept)
    if stored.task == spec.task and stored.file_digest and stored.file_digest != spec.file_digest:
        raise SpecChangedError(changed_file(stored.task, stored.file_digest, spec.file_digest))
    changed = differences(stored, spec)
    if changed:
        advice = "run `gradstudy launch NAME` without options to resume it, or choose another name"
        if stored.horizon is None and stored == spec.model_copy(update={"horizon": None}):
            advice = f"`gradstudy extend {spec.name} --steps {spec.horizon}` trains its best settings longer"
        raise SpecChangedError(
            f"the study {spec.name!r} exists with another spec (stored -> given): {'; '.join(changed)}; {advice}"
        )
    return record


def create_external(database: Database, name: str) -> StudyRecord:
    """The study of runs that their own programs record, made if there is none of that name.

    Args:
        database: that is to hold it.
        name: of the study, see ``require_name``.

    Raises:
        ExternalStudyError: there is a study of that name that was launched to be trained here.
        StudyExistsError: there is one of another program.
    """
    spec = {"name": name, EXTERNAL: {}, "divergence": DivergenceRule().model_dump(mode="json")}
    try:
        record = find_study(database, name)
    except PlainStudyError as error:
        raise StudyExistsError(str(error)) from None
    except NotFoundError:
        record = _created(database, name, spec, budget=0)
    if not record.is_external:
        raise ExternalStudyError(
            f"study {name!r} was launched to be trained here: give runs of other programs a study of their own"
        )
    return record


def enqueue(database: Database, record: StudyRecord, settings: Sequence[SettingRow]) -> list[SettingRow]:
    """Let chosen settings of a study run before all others, each with every seed; those that have runs are left out.

    Args:
        database: that holds the study.
        record: of the study.
        settings: see ``chosen_setting``.

    Returns:
        Those that were put in.
    """
    spec = stored_spec(record)
    seed_of = partial(trial_seed, spec.seed)
    return enqueue_chosen(database.engine, record, settings, seed_of, places=spec.trials, replicates=spec.seeds)


def _create(database: Database, spec: StudySpec) -> StudyRecord:
    spec = with_like(database, _settled(_located(spec)))
    return _created(database, spec.name, spec.model_dump(mode="json"), spec.trials)


def _created(database: Database, name: str, spec: dict[str, Any], budget: int) -> StudyRecord:
    try:
        return create_study(database, name, spec, budget, launched_with())
    except StudyExistsError as error:
        try:
            return find_study(database, name)  # another process launched it at the same moment
        except NotFoundError:
            raise error from None  # it is Optuna's, not ours


def with_like(database: Database, spec: StudySpec) -> StudySpec:
    """The spec with what the study that it is to be like has found by now: that study may go on, or be deleted.

    Raises:
        NotFoundError: there is no such study.
        SpecError: it tells nothing of the frontiers that this one searches.
    """
    if spec.like is None:
        return spec
    like = spec.like
    if not like.frontiers:
        from gradstudy.storage.frames import read_trials  # pandas, which few launches need
        from gradstudy.study.frontier.found import found

        like = found(read_trials(database, find_study(database, like.study).name), like.study)
    space = spec.space
    if not any(each.cell in space.cells and each.strategy in space.strategies for each in like.frontiers):
        raise SpecError(
            "like must be a study whose runs tell of frontiers of this one's cells and strategies "
            f"({', '.join(space.cells)}; {', '.join(space.strategies)}), but those of {like.study!r} do not"
        )
    return spec.model_copy(update={"like": like})


def _settled(spec: StudySpec) -> StudySpec:
    """The spec with the optimizer of the user's function, where that was not settled before."""
    if not is_module_task(spec.task):
        return spec
    from gradstudy.study.training.own_optimizer import is_settled, with_optimizer  # with torch

    return spec if is_settled(spec) else with_optimizer(spec, load_data(spec))[0]


def launched_with() -> Versions:
    """The versions that are kept with a study."""
    return Versions(gradstudy=version("gradstudy"), optuna=version("optuna"), torch=version("torch"))


def _located(spec: StudySpec) -> StudySpec:
    """The spec with the folder that a module task is imported from, for workers that are started elsewhere."""
    if spec.task_folder is None and is_module_task(spec.task):
        return spec.model_copy(update={"task_folder": str(Path.cwd())})
    return spec
