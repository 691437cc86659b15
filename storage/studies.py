"""Studies: a spec and a budget under a name, on top of Optuna's study of that name."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import BindParameter, ColumnElement, Connection, ScalarSelect, Select, insert, select
from sqlalchemy.exc import IntegrityError

from gradstudy.storage.clock import utc_now
from gradstudy.storage.database import Database
from gradstudy.storage.ended import begin_sums
from gradstudy.storage.errors import NotFoundError, PlainStudyError, StudyDeletedError, StudyExistsError
from gradstudy.storage.schema import STUDIES, TRIALS, Study
from gradstudy.storage.transactions import reading, writing

EXTERNAL = "external"
"""The part of a spec by which a study is one of runs that their own programs record: no worker trains any."""


@dataclass(frozen=True, kw_only=True)
class Versions:
    """What a study was launched with."""

    gradstudy: str
    optuna: str
    torch: str


@dataclass(frozen=True, kw_only=True)
class StudyRecord:
    """A study as it was launched.

    Attributes:
        study_id: its number, which another study may have once this one is deleted.
        identity: proves that a study is this one: no other ever has it.
        created_at: UTC without a zone.
        versions: None where another program made it.
        extends: the identity of the study whose settings it trains longer; None of any other.
    """

    study_id: int
    identity: str
    name: str
    spec: dict[str, Any]
    budget: int
    created_at: datetime
    versions: Versions | None
    extends: str | None = None

    @property
    def is_external(self) -> bool:
        """Whether its runs are recorded by their own programs."""
        return EXTERNAL in self.spec


def create_study(
    db: Database, name: str, spec: dict[str, Any], budget: int, versions: Versions, *, extends: str | None = None
) -> StudyRecord:
    """Make a study of ``budget`` trials and Optuna's study for it.

    ``extends`` is the identity of the study whose settings it trains longer, if it does.

    Raises:
        StudyExistsError: there is one of that name, gradstudy's or somebody else's in Optuna's tables.
    """
    study_id = _optuna_study(db, name)
    row = insert(Study).values(
        study_id=study_id,
        identity=uuid4().hex,
        spec=spec,
        budget=budget,
        steps=spec.get("steps"),
        extends=extends,
        created_at=utc_now(),
        gradstudy_version=versions.gradstudy,
        optuna_version=versions.optuna,
        torch_version=versions.torch,
    )
    try:
        with writing(db.engine) as connection:
            connection.execute(row)
            begin_sums(connection, study_id)
    except IntegrityError as error:
        raise StudyExistsError(f"there is a study '{name}' in {db.display_url} already") from error
    return find_study(db, name)


def find_study(db: Database, name: str) -> StudyRecord:
    """The study of a name.

    Raises:
        PlainStudyError: it was not launched by gradstudy.
        NotFoundError: there is none; the sentence lists those that there are.
    """
    with reading(db.engine) as connection:
        row = connection.execute(_records().where(STUDIES.c.study_name == name)).one_or_none()
    if row is not None:
        return _record(row)
    with reading(db.engine) as connection:
        plain = connection.scalar(select(STUDIES.c.study_id).where(STUDIES.c.study_name == name))
    if plain is not None:
        raise PlainStudyError(
            f"study '{name}' in {db.display_url} was not launched by gradstudy but by another program; "
            f"`gradstudy report {name}` reads it"
        )
    with reading(db.engine) as connection:
        of_ours = select(STUDIES.c.study_name).join_from(Study, STUDIES, STUDIES.c.study_id == Study.study_id)
        names = list(connection.scalars(of_ours.order_by(Study.study_id)))
    known = f"there are: {', '.join(names)}" if names else "it holds no studies yet"
    raise NotFoundError(f"there is no study '{name}' in {db.display_url}; {known}")


def is_study(record: StudyRecord) -> ColumnElement[bool]:
    """The condition that a row of ``gradstudy_study`` is still the study of the record."""
    return Study.identity == record.identity


def number_of(identity: str | BindParameter[str]) -> ScalarSelect[int]:
    """The number of the study of this identity, nothing once it is deleted."""
    return select(Study.study_id).where(Study.identity == identity).scalar_subquery()


def require_study(connection: Connection, record: StudyRecord) -> None:
    """Make sure that a study is still there.

    Raises:
        StudyDeletedError: it was deleted.
    """
    if connection.scalar(select(Study.study_id).where(is_study(record))) is None:
        raise StudyDeletedError(record.name)


def list_studies(db: Database) -> list[StudyRecord]:
    """Every study of gradstudy's, the oldest first."""
    with reading(db.engine) as connection:
        return [_record(row) for row in connection.execute(_records().order_by(Study.study_id))]


def read_records(connection: Connection, studies: Sequence[int]) -> list[StudyRecord]:
    """The studies of these numbers that there are, the oldest first."""
    query = _records().where(Study.study_id.in_(studies)).order_by(Study.study_id)
    return [_record(row) for row in connection.execute(query)]


def list_extensions(db: Database, record: StudyRecord) -> list[StudyRecord]:
    """The studies that train settings of a study longer, the shortest first."""
    query = _records().where(Study.extends == record.identity).order_by(Study.steps)
    with reading(db.engine) as connection:
        return [_record(row) for row in connection.execute(query)]


def delete_study(db: Database, name: str) -> None:
    """Delete a study and everything of it, Optuna's rows and gradstudy's; the workers stay.

    Raises:
        NotFoundError: there is no such study.
    """
    # Optuna deletes its rows in one transaction, and gradstudy's go with them by their foreign keys.
    db.optuna_storage.delete_study(find_study(db, name).study_id)


def _optuna_study(db: Database, name: str) -> int:
    """Make Optuna's study, or take over one without trials: what a launch that was cut off leaves."""
    from optuna.exceptions import DuplicatedStudyError
    from optuna.study import StudyDirection

    try:
        return db.optuna_storage.create_new_study([StudyDirection.MINIMIZE], name)
    except DuplicatedStudyError:
        study_id = db.optuna_storage.get_study_id_from_name(name)
    with reading(db.engine) as connection:
        if connection.scalar(select(TRIALS.c.trial_id).where(TRIALS.c.study_id == study_id).limit(1)):
            raise StudyExistsError(f"there is a study '{name}' in {db.display_url} already")
    if db.optuna_storage.get_study_directions(study_id) != [StudyDirection.MINIMIZE]:
        raise StudyExistsError(f"there is an Optuna study '{name}' in {db.display_url} that does not minimize")
    return study_id


def _records() -> Select[Any]:
    return select(*Study.__table__.c, STUDIES.c.study_name).join_from(
        Study, STUDIES, STUDIES.c.study_id == Study.study_id
    )


def _record(row: Any) -> StudyRecord:
    return StudyRecord(
        study_id=row.study_id,
        identity=row.identity,
        name=row.study_name,
        spec=row.spec,
        budget=row.budget,
        created_at=row.created_at,
        versions=Versions(gradstudy=row.gradstudy_version, optuna=row.optuna_version, torch=row.torch_version),
        extends=row.extends,
    )
