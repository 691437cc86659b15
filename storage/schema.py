"""gradstudy's tables. Migrations make them; a test compares the two.

Strings have a length because MySQL wants one; floats are ``DOUBLE`` because MySQL's ``FLOAT`` has 24 bits.
Times are UTC without a zone, as in Optuna's tables.
"""

from datetime import datetime
from typing import Annotated, Any, cast

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    DateTime,
    Double,
    Enum,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.mysql import LONGBLOB
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from gradstudy.storage.results import Outcome

NAMING_CONVENTION = {
    "pk": "pk_%(table_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
}

Word = Annotated[str, mapped_column(String(64))]
"""A cell, a strategy, a reason, a version: short, so that it can be part of an index."""

OutcomeType = Enum(
    Outcome,
    name="outcome",
    native_enum=False,
    create_constraint=True,
    length=16,
    values_callable=lambda outcomes: [outcome.value for outcome in outcomes],
)


class Base(DeclarativeBase):
    """The base of gradstudy's tables."""

    metadata = MetaData(naming_convention=NAMING_CONVENTION)
    type_annotation_map = {  # noqa: RUF012 (SQLAlchemy reads it from the class)
        float: Double(),
        datetime: DateTime(),
        dict[str, Any]: JSON(none_as_null=True),
    }


# Optuna makes and owns these two. Only the columns that gradstudy refers to are named.
STUDIES = Table(
    "studies",
    Base.metadata,
    Column("study_id", Integer, primary_key=True),
    Column("study_name", String(512), nullable=False),
)
TRIALS = Table(
    "trials",
    Base.metadata,
    Column("trial_id", Integer, primary_key=True),
    Column("number", Integer),
    Column("study_id", Integer),
)


class Study(Base):
    """A study's spec, budget and versions. Its name is in Optuna's ``studies``."""

    __tablename__ = "gradstudy_study"

    study_id: Mapped[int] = mapped_column(
        ForeignKey("studies.study_id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    identity: Mapped[str] = mapped_column(String(32), unique=True, index=True, server_default="")
    """Drawn by chance, and never used again: a number may be, as that of a deleted study or in a restored database."""
    spec: Mapped[dict[str, Any]]
    budget: Mapped[int]
    """How many trials the study may have."""
    steps: Mapped[int | None]
    """How many each trial is to make."""
    extends: Mapped[str | None] = mapped_column(String(32))
    """The identity of the study whose settings it trains longer; None of any other."""
    created_at: Mapped[datetime]
    gradstudy_version: Mapped[Word]
    optuna_version: Mapped[Word]
    torch_version: Mapped[Word]


class SetAside(Base):
    """A study that the workers of a machine, which serve every study, cannot work on for now."""

    __tablename__ = "gradstudy_set_aside"

    study_id: Mapped[int] = mapped_column(
        ForeignKey("gradstudy_study.study_id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    host: Mapped[str] = mapped_column(String(255), primary_key=True)
    reason: Mapped[str] = mapped_column(Text)
    code: Mapped[Word | None]
    """Digest of the user's code that failed while it trained; None where nothing was trained."""
    since: Mapped[datetime]


class Worker(Base):
    """A process that runs trials."""

    __tablename__ = "gradstudy_worker"
    # A worker's number is never used twice: it is half of what proves a claim.
    __table_args__ = ({"sqlite_autoincrement": True},)

    worker_id: Mapped[int] = mapped_column(primary_key=True)
    host: Mapped[str] = mapped_column(String(255))
    pid: Mapped[int]
    process_space: Mapped[Word | None]
    """Where ``pid`` means this process, see ``study.worker.process_space``; None where that is not known."""
    device: Mapped[Word]
    started_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    stopped_at: Mapped[datetime | None]


class Trial(Base):
    """A trial: one ordinal of a study's budget, who runs it, its setting and its result.

    ``trial_id`` is NULL between the claim and Optuna's ask; ``worker_id`` is NULL when nobody runs it;
    ``outcome`` is NULL until it has ended.
    """

    __tablename__ = "gradstudy_trial"
    __table_args__ = (
        UniqueConstraint("study_id", "ordinal"),
        UniqueConstraint("trial_id"),
        Index(None, "worker_id"),
        Index(None, "study_id", "outcome"),
        Index(None, "study_id", "finished_at"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("gradstudy_study.study_id", ondelete="CASCADE"))
    ordinal: Mapped[int]
    trial_id: Mapped[int | None] = mapped_column(ForeignKey("trials.trial_id", ondelete="CASCADE"))
    worker_id: Mapped[int | None] = mapped_column(ForeignKey("gradstudy_worker.worker_id"))
    attempt: Mapped[int]
    failures: Mapped[int] = mapped_column(server_default="0")
    """How many workers in a row were lost with it at the same step."""
    losses: Mapped[int] = mapped_column(server_default="0")
    """How many workers were lost with it since it was last checkpointed."""
    lost_at: Mapped[int | None]
    """The step at which the last of them had it; of a trial that had not been lost before, where it began."""
    seed: Mapped[int] = mapped_column(BigInteger)

    cell: Mapped[Word | None]
    strategy: Mapped[Word | None]
    threshold: Mapped[float | None]
    threshold_bin: Mapped[float | None]
    learning_rate: Mapped[float | None]
    learning_rate_bin: Mapped[float | None]
    # PostgreSQL can group by JSONB, not by JSON.
    factors: Mapped[dict[str, Any] | None] = mapped_column(
        JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
    )

    outcome: Mapped[Outcome | None] = mapped_column(OutcomeType)
    reason: Mapped[Word | None]
    diverged_at_step: Mapped[int | None]
    steps: Mapped[int]
    initial_loss: Mapped[float | None]
    final_loss: Mapped[float | None]
    """The smoothed training loss at the end."""
    initial_validation_loss: Mapped[float | None]
    validation_loss: Mapped[float | None]
    objective: Mapped[float | None]
    grad_norm_p50: Mapped[float | None]
    grad_norm_p90: Mapped[float | None]
    grad_norm_max: Mapped[float | None]
    clipped_fraction: Mapped[float | None]
    spikes: Mapped[int | None]
    skipped_steps: Mapped[int | None]
    metrics: Mapped[dict[str, Any] | None] = mapped_column(
        JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
    )
    """What was measured beside the validation loss, by name; a number that was not finite is null in it."""
    seconds: Mapped[float | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    error: Mapped[str | None] = mapped_column(Text)
    """The traceback of a failed trial."""
    excluded: Mapped[str | None] = mapped_column(Text)
    """Why it counts nowhere; None where it counts."""


TRIAL = cast("Table", Trial.__table__)
"""The same table for statements that are made for every trial: those on the class take three times as long to make."""


class EndedTrials(Base):
    """How many trials of a study have ended; its rows add up to that, see ``storage.ended``."""

    __tablename__ = "gradstudy_ended"

    study_id: Mapped[int] = mapped_column(
        ForeignKey("gradstudy_study.study_id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    share: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    trained: Mapped[int] = mapped_column(server_default="0")
    stalled: Mapped[int] = mapped_column(server_default="0")
    diverged: Mapped[int] = mapped_column(server_default="0")
    pruned: Mapped[int] = mapped_column(server_default="0")
    failed: Mapped[int] = mapped_column(server_default="0")
    excluded: Mapped[int] = mapped_column(server_default="0")
    """Whatever their outcome; they are in no other column."""
    marks: Mapped[int] = mapped_column(BigInteger, server_default="0")
    """Tells which trials are excluded, and why: where these are the same, so is it."""


class Checkpoint(Base):
    """A part of the state of a trial that is not at its end, after so many steps; see ``storage.checkpoints``."""

    __tablename__ = "gradstudy_checkpoint"

    id: Mapped[int] = mapped_column(
        ForeignKey("gradstudy_trial.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    step: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    part: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    state: Mapped[bytes] = mapped_column(LargeBinary().with_variant(LONGBLOB(), "mysql", "mariadb"))


class ArchivedSteps(Base):
    """A Parquet file that steps of a study were moved to; see ``storage.archive``."""

    __tablename__ = "gradstudy_archive"

    study_id: Mapped[int] = mapped_column(
        ForeignKey("gradstudy_study.study_id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    file: Mapped[str] = mapped_column(String(64), primary_key=True)
    folder: Mapped[str] = mapped_column(Text)
    first_number: Mapped[int]
    last_number: Mapped[int]
    """Of the trials in it; others between these two may be elsewhere."""
    step_rows: Mapped[int]


class Step(Base):
    """One training step of one trial; a number that was not finite is NULL."""

    __tablename__ = "gradstudy_step"
    # The primary key is the only way in, so SQLite need not keep a second tree for row numbers.
    __table_args__ = ({"sqlite_with_rowid": False},)

    trial_id: Mapped[int] = mapped_column(
        ForeignKey("trials.trial_id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    step: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    loss: Mapped[float | None]
    grad_norm: Mapped[float | None]
    applied_norm: Mapped[float | None]
    learning_rate: Mapped[float | None]
