"""What the JSON interface takes and gives, for the server, its document and the client. Imports nothing heavy."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

PREFIX = "/api/v1"
Form = Literal["json", "markdown", "html", "csv", "text"]
"""Of a report."""


class Question(BaseModel):
    """What is asked: nothing but what is known here."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Answer(BaseModel):
    """What is answered; a newer server may say more."""

    model_config = ConfigDict(frozen=True)


class Launch(Question):
    """A study to be launched, by one of ``spec`` and ``toml``."""

    spec: dict[str, Any] | None = Field(default=None, description="the fields of a spec; a name alone opens its study")
    toml: str | None = Field(default=None, description="a spec as the text of a TOML file")
    enqueue: list[dict[str, str | float]] = Field(
        default=[], description="settings that run first: cell, strategy, threshold, learning_rate, factors"
    )


class Extend(Question):
    """How far the best settings of a study are trained."""

    steps: int | None = Field(
        default=None,
        ge=1,
        le=100_000_000,
        description="of the longest runs; if not given the study's horizon, else 16 times its steps",
    )
    top: int | None = Field(
        default=None, ge=1, le=20, description="settings, each at half its rate, too; 6 if not given"
    )
    runs: int | None = Field(default=None, ge=1, le=1000, description="of each setting; 2 if not given")


class Nothing(Question):
    """A body without fields."""


class StudiesPage(Question):
    """Which studies."""

    offset: int = Field(default=0, ge=0, le=2**31, description="how many are left out, the oldest first")
    limit: int = Field(default=100, ge=1, le=1000, description="how many there are at most")


class TrialsPage(Question):
    """Which trials."""

    after: int = Field(default=-1, ge=-1, le=2**31, description="only trials with larger numbers")
    limit: int = Field(default=100, ge=1, le=1000, description="how many there are at most")


class ReportForm(Question):
    """How a report is written."""

    format: Form = Field(default="json", description="text is what a terminal shows")
    width: int = Field(default=80, ge=40, le=500, description="of text, in columns")


class Failure(Answer):
    """Why there is no other answer."""

    error: str = Field(description="one sentence for a person")


class Stretch(Answer):
    """Runs of one length on the way of a study to its horizon."""

    steps: int = Field(description="of each run")
    runs: int = Field(description="that there are, or will be at most")
    trials: dict[str, int] | None = Field(description="how many there are of each outcome; null before they begin")


class SetAside(Answer):
    """Why the workers of a machine leave a study alone."""

    host: str
    reason: str
    waits_for_code: bool = Field(description="whether it is tried again when its code has changed, else every minute")


class Workers(Answer):
    """Workers that are alive on one machine, for all studies."""

    host: str
    device: str
    count: int


class Study(Answer):
    """A study and how far it is."""

    name: str
    task: str
    launched: datetime = Field(description="UTC")
    budget: int = Field(description="of trials; less than the spec's where it was ended before")
    trials: dict[str, int] = Field(description="how many there are of each outcome, running and remaining")
    is_open: bool = Field(description="whether runs are left to be made or to end, longer ones too")
    phase: str | None = Field(description="what trials are for at present")
    way: list[Stretch] = Field(description="its own trials, then the longer runs of its best settings")
    set_aside: list[SetAside]
    workers: list[Workers]
    spec: dict[str, Any] | None = Field(default=None, description="as it was launched; null in a list")


class Studies(Answer):
    """Some of the studies, the oldest first."""

    studies: list[Study]
    total: int
    next: int | None = Field(description="offset of the next page; null on the last one")


class Launched(Answer):
    """A study that is open now, or was before."""

    study: Study
    is_new: bool
    notes: list[str] = Field(description="what has no effect, how the data were read, which settings run first")


class Trials(Answer):
    """Some trials by number: rows of the view trial_result."""

    study: str
    trials: list[dict[str, Any]]
    next: int | None = Field(description="of the next page what comes after; null on the last one")
