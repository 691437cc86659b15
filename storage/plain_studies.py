"""Studies that plain Optuna programs made, read from any storage of Optuna's without a byte written."""

from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from gradstudy.storage.damage import refuse_damage
from gradstudy.storage.errors import ForeignDatabaseError, NotFoundError
from gradstudy.storage.journal_file import journal_path, open_journal
from gradstudy.storage.optuna_reader import read_only
from gradstudy.storage.optuna_storage import OPTUNA_TABLES, open_optuna_storage
from gradstudy.storage.sqlite import connect_untouched, table_names
from gradstudy.storage.urls import display, parse, sqlite_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from optuna.storages import BaseStorage
    from optuna.study import StudyDirection
    from optuna.trial import FrozenTrial


@dataclass(frozen=True, kw_only=True)
class PlainRecord:
    """A study as Optuna keeps it.

    Attributes:
        name: of the study.
        source: where it is, for printing.
        directions: one for each objective.
        objectives: their names; empty where the program gave none.
        trials: by number, whatever their state.
        attributes: what samplers and pruners keep with the study.
    """

    name: str
    source: str
    directions: "tuple[StudyDirection, ...]"
    objectives: tuple[str, ...]
    trials: "tuple[FrozenTrial, ...]"
    attributes: dict[str, Any]


def read_plain_study(url: str, name: str) -> PlainRecord:
    """Read a study; nothing in or beside its storage is changed.

    Args:
        url: ``journal:///FILE``, or that of a database.
        name: of the study.

    Raises:
        NotFoundError: there is no such storage or study; the sentence lists those that there are.
        StorageError: one of its kinds: the storage cannot be read.
    """
    with _opened(url) as (storage, source):
        try:
            study_id = storage.get_study_id_from_name(name)
        except KeyError:
            names = [study.study_name for study in storage.get_all_studies()]
            known = f"there are: {', '.join(names)}" if names else "it holds no studies"
            raise NotFoundError(f"there is no study '{name}' in {source}; {known}") from None
        attributes = storage.get_study_system_attrs(study_id)
        return PlainRecord(
            name=name,
            source=source,
            directions=tuple(storage.get_study_directions(study_id)),
            objectives=tuple(attributes.get(METRIC_NAMES) or ()),
            trials=tuple(sorted(storage.get_all_trials(study_id), key=lambda trial: trial.number)),
            attributes=attributes,
        )


METRIC_NAMES = "study:metric_names"
"""The attribute in which ``Study.set_metric_names`` keeps the names of the objectives."""


@contextmanager
def _opened(url: str) -> "Iterator[tuple[BaseStorage, str]]":
    """The storage at a URL, and how it is shown."""
    journal = journal_path(url)
    if journal is not None:
        yield open_journal(journal), url
        return
    parsed = parse(url)
    path = sqlite_path(parsed)
    if path is None:
        with read_only(open_optuna_storage(parsed, make_tables=False)) as reader:
            yield reader, display(parsed)
        return
    tables = table_names(path)
    if not tables:
        raise NotFoundError(f"there is no database at {display(parsed)}")
    if not tables >= OPTUNA_TABLES:
        raise ForeignDatabaseError(f"{display(parsed)} holds no Optuna studies")
    try:
        storage = open_optuna_storage(parsed, make_tables=False, connect=partial(connect_untouched, path))
        with read_only(storage) as reader:
            yield reader, display(parsed)
    except Exception as error:
        refuse_damage(path, error)
        raise
