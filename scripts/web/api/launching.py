"""Launching a study for whoever asks over HTTP: as ``gradstudy launch`` does, and with nothing from this machine.

A spec may name the user's own code, or files of data. Over HTTP it may name only what lies in the folders, or is one of
the packages, that the server was started with.
"""

import threading
import tomllib
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradstudy.models.tasks.catalogue import find_task
from gradstudy.models.tasks.errors import TaskError
from gradstudy.models.tasks.files.text_file import files_of
from gradstudy.models.tasks.module_task import is_module_task
from gradstudy.models.user_module.importing import find_folder, forget_users_modules
from gradstudy.models.user_module.trusted import Trusted, trusted
from gradstudy.scripts.spec_input import Values, checked_spec
from gradstudy.scripts.web.api.errors import RequestError
from gradstudy.scripts.web.api.messages import Launch, Launched
from gradstudy.scripts.web.api.reading import found, study_of
from gradstudy.storage.database import Database
from gradstudy.storage.errors import NotFoundError
from gradstudy.storage.queue import SettingRow
from gradstudy.storage.set_aside import take_back
from gradstudy.storage.studies import StudyRecord, find_study
from gradstudy.study.launch import create_or_resume, enqueue, with_file
from gradstudy.study.spec.chosen_setting import chosen_setting, setting_in_words
from gradstudy.study.spec.study_spec import StudySpec, stored_spec

if TYPE_CHECKING:
    from gradstudy.models.trainable import Trainable

NOBODY = Trusted((), frozenset(), frozenset())
NOT_NAMED = "this server takes {what} only from what it was started with as --allow-modules"
ONE_AT_A_TIME = threading.Lock()
"""Data are read, and users' functions are called, for one study after the other."""


def launch(database: Database, asked: Launch) -> Launched:
    """Create a study, or open the one that has the same spec; workers do the rest.

    Raises:
        RequestError: the request is not one, or names what this server does not take.
        SpecError: the spec is not valid.
        TaskError: the data cannot be read, or the user's function cannot be used.
        SpecChangedError: there is a study of that name with another spec.
    """
    values, notes = _values(asked), list[str]()
    with ONE_AT_A_TIME:
        stored = _stored(database, values.get("name"))
        if stored is not None and set(values) == {"name"}:
            spec = stored_spec(stored)
        else:
            spec, notes = checked_spec(None, values, {})
            stored = _stored(database, spec.name)
            spec = with_file(_allowed(spec))
        chosen = [_chosen(setting, spec) for setting in asked.enqueue]
        if stored is None:
            spec, read = _prepared(spec)
            notes += read
        record = create_or_resume(database, spec)
        take_back(database.engine, record)
        put_in = enqueue(database, record, chosen) if chosen else []
    notes += [
        f"{setting_in_words(setting)}: {'runs first' if setting in put_in else 'has its runs'}" for setting in chosen
    ]
    return Launched(study=study_of(database, found(database, record.name)), is_new=stored is None, notes=notes)


def _values(asked: Launch) -> Values:
    """The values of the spec."""
    if (asked.spec is None) == (asked.toml is None):
        raise RequestError(HTTPStatus.UNPROCESSABLE_ENTITY, "one of spec and toml must be given, and not both")
    if asked.spec is not None:
        return asked.spec
    try:
        return tomllib.loads(asked.toml or "")
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        reason = "it has brackets in brackets" if isinstance(error, RecursionError) else str(error)
        raise RequestError(HTTPStatus.UNPROCESSABLE_ENTITY, f"toml is not TOML: {reason}") from None


def _stored(database: Database, name: Any) -> StudyRecord | None:
    try:
        return find_study(database, name) if isinstance(name, str) and name.isprintable() else None
    except NotFoundError:
        return None


def _allowed(spec: StudySpec) -> StudySpec:
    """The spec, with the folder of its module; raises RequestError where it names what this server does not take."""
    only = trusted() or NOBODY
    if spec.task_folder is not None and not _lies_in(only, spec.task_folder):
        raise RequestError(HTTPStatus.FORBIDDEN, NOT_NAMED.format(what="a task_folder"))
    if is_module_task(spec.task):
        return spec.model_copy(update={"task_folder": _folder_of_module(spec, only)})
    _, given = find_task(spec.task)
    for file in () if given is None else files_of(given):
        if not _lies_in(only, file):
            raise RequestError(HTTPStatus.FORBIDDEN, NOT_NAMED.format(what="files, named by their whole path,"))
    return spec


def _folder_of_module(spec: StudySpec, only: Trusted) -> str | None:
    try:
        if only is not NOBODY:
            return find_folder(spec.task, [] if spec.task_folder is None else [spec.task_folder])
    except TaskError:  # which names the folders
        pass
    raise RequestError(HTTPStatus.FORBIDDEN, NOT_NAMED.format(what="models of one's own"))


def _lies_in(only: Trusted, path: str) -> bool:
    return "\0" not in path and Path(path).is_absolute() and only.has_folder(path)


def _prepared(spec: StudySpec) -> "tuple[StudySpec, list[str]]":
    """The spec of a study that is to be made, and how its data were read."""
    from gradstudy.models.user_module.loading import UserModule  # with torch
    from gradstudy.study.training.data import check_varied_data, load_data
    from gradstudy.study.training.own_optimizer import with_optimizer

    forget_users_modules()
    data: Trainable = load_data(spec)
    check_varied_data(spec)
    spec, data = with_optimizer(spec, data)
    return spec, [] if isinstance(data, UserModule) else list(data.reading)


def _chosen(given: dict[str, str | float], spec: StudySpec) -> SettingRow:
    """A setting that runs first; its values as a command line would give them."""
    return chosen_setting({name: str(value) for name, value in given.items()}, spec)
