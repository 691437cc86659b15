"""Everything that defines a study: validated, and stored with it as JSON."""

from contextlib import suppress
from typing import Any, Self

from pydantic import (
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from gradstudy.models.loss_names import LossKind
from gradstudy.models.optimizer_settings import HYPERPARAMETERS, AnyOptimizerName, OptimizerSettings
from gradstudy.models.schedule_names import ScheduleName
from gradstudy.models.schedules import Schedule
from gradstudy.models.tasks.catalogue import find_task
from gradstudy.models.tasks.errors import TaskError
from gradstudy.models.tasks.module_task import check_module_task, is_module_task
from gradstudy.models.tasks.options import OptionValue
from gradstudy.storage.studies import StudyRecord
from gradstudy.study.divergence import DivergenceRule
from gradstudy.study.errors import ExternalStudyError, SpecError
from gradstudy.study.spec.checks.budget import PrunerName, SamplerName, check_sampler, check_trials, with_sampler
from gradstudy.study.spec.checks.horizon import check_horizon
from gradstudy.study.spec.checks.model_of_the_task import check_model, check_own
from gradstudy.study.spec.checks.recurrence import check_recurrence
from gradstudy.study.spec.checks.scale import with_widths
from gradstudy.study.spec.error_sentence import error_sentence
from gradstudy.study.spec.factors import FactorValue, has_own_optimizer, place_of, put_in, rates_apart, replaced
from gradstudy.study.spec.module_options import plain_option
from gradstudy.study.spec.optimizer.optimization import (
    check_hyperparameters,
    check_schedule,
    optimizer_settings,
    schedule_of,
)
from gradstudy.study.spec.optimizer.searched import check_searched
from gradstudy.study.spec.parts import (
    ALL,
    MODULE_CELL,
    GivenByName,
    KeptSteps,
    ModelSpec,
    Part,
    Precision,
    SearchSpace,
)
from gradstudy.study.spec.study_name import checked_name

DEFAULT_TASK = "cmudict"
BESIDE_EACH_OTHER = ("factors", "hyperparameters", "scale_to")
"""Parts of a space that speak of fields of the spec."""


class StudySpec(Part):
    """A study: a search over settings on one task with one budget."""

    name: str = Field(description="letters, digits, dots, dashes and underscores")
    preset: str | None = Field(default=None, description="the experiment of the literature that it is made from")
    task: str = Field(default=DEFAULT_TASK, description="what is trained on; a file or function follows a colon")
    task_options: dict[str, OptionValue] = Field(
        default_factory=dict, description="options of the task, or of the function of your own model"
    )
    task_folder: str | None = Field(
        default=None, description="where the study was launched, which a module task is imported from"
    )
    file_digest: str | None = Field(default=None, description="of the file that the task reads, as it must be")
    loss: LossKind | None = Field(default=None, description="what is trained; the task's first when not given")
    model: ModelSpec = ModelSpec()
    optimizer: AnyOptimizerName = Field(
        default="sgd", description="own is that of your own model, and taken where its function returns one"
    )
    momentum: float | None = Field(default=None, ge=0, lt=1, description="of momentum and nesterov; 0.9 if not given")
    beta1: float | None = Field(default=None, ge=0, lt=1, description="of adam and its like; 0.9 if not given")
    beta2: float | None = Field(default=None, ge=0, lt=1, description="of adam and its like; 0.999 if not given")
    epsilon: float | None = Field(default=None, gt=0, le=1, description="torch's own for the optimizer if not given")
    weight_decay: float | None = Field(
        default=None, ge=0, le=100, description="0 if not given, of adamw 0.01, as in torch"
    )
    schedule: ScheduleName = Field(default="constant", description="of the learning rate, from the searched one down")
    warmup: float = Field(
        default=0, ge=0, description="steps in which the learning rate rises; below 1 a share of all steps"
    )
    halve_every: int | None = Field(default=None, ge=1, description="steps between halvings, with schedule halving")
    precision: Precision = Field(
        default="float32",
        description="of the computation; parameters and their updates are float32; float16 needs a GPU",
    )
    steps: int = Field(default=300, ge=1, le=10_000_000, description="training steps of each trial")
    horizon: int | None = Field(
        default=None, ge=1, le=100_000_000, description="steps that the answer is for; those of each trial if not given"
    )
    batch_size: int = Field(default=32, ge=1, le=65_536, description="sequences in a batch")
    trials: int = Field(
        default=120,
        ge=1,
        le=1_000_000,
        description="the budget: training runs, replicates included; of a grid its size",
    )
    seeds: int = Field(default=1, ge=1, le=1000, description="replicates: trials of each setting, each with its seed")
    sampler: SamplerName = Field(
        default="auto",
        description="where trials are placed; qmc where hyperparameters are searched or with scale_to; grid where "
        "nothing is a range and neither sampler nor trials are given",
    )
    pruner: PrunerName = Field(default="none", description="ends trials that fall behind, for plain tuning")
    frontier_width: float | None = Field(
        default=None,
        gt=0,
        description="decades: the study ends when the 95% interval of every frontier is this narrow",
    )
    like: GivenByName | None = Field(default=None, description="another study, whose frontiers are expected to be near")
    seed: int = Field(default=0, ge=0, lt=2**31, description="of the sampler and, with a trial's number, of each trial")
    keep_steps: KeptSteps = Field(
        default=ALL, description="of each trial's rows in step_result; spikes and the first bad step always are"
    )
    guard: bool = Field(default=False, description="skip steps with a non-finite loss or gradient")
    own_draws: bool = Field(default=False, description="each trial of a model of your own draws for itself alone")
    space: SearchSpace = SearchSpace()
    divergence: DivergenceRule = DivergenceRule()

    @field_validator("name")
    @classmethod
    def _plain_name(cls, name: str) -> str:
        return checked_name(name)

    @field_validator("task")
    @classmethod
    def _known_task(cls, task: str) -> str:
        if is_module_task(task):
            check_module_task(task)
        else:
            find_task(task)
        return task

    @field_validator("task_options", mode="before")
    @classmethod
    def _known_task_options(cls, options: Any, info: ValidationInfo) -> Any:
        if "task" not in info.data or not isinstance(options, dict):
            return options  # which is said of that field
        if is_module_task(info.data["task"]):
            return {name: plain_option(value) for name, value in options.items()}
        return find_task(info.data["task"])[0].accept(options)

    # Of those before, the last one here is the first one.
    @model_validator(mode="before")
    @classmethod
    def _sampler_that_fits(cls, values: Any) -> Any:
        return with_sampler(values) if isinstance(values, dict) else values

    @model_validator(mode="before")
    @classmethod
    def _cells_of_the_task(cls, values: Any) -> Any:
        """Where no cells are given and the task takes others than the usual ones, search those."""
        if not isinstance(values, dict) or not isinstance(values.get("space", {}), dict):
            return values
        space = values.get("space", {})
        with suppress(TaskError):
            task = str(values.get("task", DEFAULT_TASK))
            cells = (MODULE_CELL,) if is_module_task(task) else find_task(task)[0].cells
            if "cells" not in space and not set(cells) >= set(SearchSpace().cells):
                return values | {"space": space | {"cells": cells}}
        return values

    @model_validator(mode="before")
    @classmethod
    def _factors_as_understood(cls, values: Any) -> Any:
        """Each value of a factor, normalised as its field stores it; text is taken as a command line gives it."""
        space = values.get("space") if isinstance(values, dict) else None
        if not isinstance(space, dict) or not isinstance(space.get("factors"), dict) or not space["factors"]:
            return values
        alone = values | {"space": {name: part for name, part in space.items() if name not in BESIDE_EACH_OTHER}}
        for name in ("optimizer", "schedule"):  # which say what else can be given
            if isinstance(several := space["factors"].get(name), (list, tuple)) and several:
                alone |= {name: several[0]}
        try:
            spec = cls.model_validate(alone)
        except ValidationError:
            return alone  # what is wrong with the rest is said first
        varied = space["factors"].get("optimizer")
        own = has_own_optimizer(spec.optimizer, {"optimizer": varied} if isinstance(varied, (list, tuple)) else {})
        places = {name: place_of(spec.task, name, own_optimizer=own) for name in space["factors"]}
        understood = {name: _understood(spec, name, places[name], given) for name, given in space["factors"].items()}
        return values | {"space": space | {"factors": understood}}

    @model_validator(mode="before")
    @classmethod
    def _what_is_varied(cls, values: Any) -> Any:
        return with_widths(rates_apart(values)) if isinstance(values, dict) else values

    @model_validator(mode="after")
    def _fit_for_the_task(self) -> Self:
        check_recurrence(self.task, self.space)
        if is_module_task(self.task):
            return self  # what its function takes is known where it can be imported
        task, _ = find_task(self.task)
        task.check_loss(self.loss)
        check_own(self.optimizer, self.space.cells, task)
        check_model(self.model, task, self.trained_loss)
        return self

    @model_validator(mode="after")
    def _what_optimizers_take(self) -> Self:
        optimizers = self.space.factors.get("optimizer", (self.optimizer,))
        # With an optimizer of its own they are options of the user's function.
        factors = {} if has_own_optimizer(self.optimizer, self.space.factors) else self.space.factors
        given = [name for name in HYPERPARAMETERS if getattr(self, name) is not None or name in factors]
        given += self.space.hyperparameters
        check_hyperparameters(optimizers, given)
        check_schedule(dict(self), optimizers, factors.get("schedule", (self.schedule,)))
        return self

    @model_validator(mode="after")
    def _budget(self) -> Self:
        check_searched(dict(self))
        check_sampler(self.sampler, self.pruner, self.space, self.frontier_width)
        check_trials(self.trials, self.seeds, self.sampler, self.space)
        check_horizon(self.horizon, self.task, self.steps, self.trials, self.seeds)
        return self

    @property
    def named_optimizer(self) -> OptimizerSettings:
        """The optimizer of every trial, which is not the user's own."""
        return optimizer_settings(dict(self))

    @property
    def learning_rates(self) -> Schedule:
        """The schedule of every trial's learning rate."""
        return schedule_of(dict(self))

    def place_of(self, factor: str) -> tuple[str, ...]:
        """Where it has a factor, or a ValueError; see `gradstudy.study.spec.factors.place_of`."""
        return place_of(self.task, factor, own_optimizer=has_own_optimizer(self.optimizer, self.space.factors))

    @property
    def trained_loss(self) -> LossKind:
        """The loss that trials are trained with."""
        if self.loss or is_module_task(self.task):
            return self.loss or "cross_entropy"
        return find_task(self.task)[0].losses[0]


def parse_spec(values: dict[str, Any]) -> StudySpec:
    """Validate a spec.

    Raises:
        SpecError: one sentence for the first field that is wrong, with what was given and what is accepted.
    """
    try:
        return StudySpec.model_validate(values)
    except ValidationError as error:
        raise SpecError(error_sentence(error, StudySpec)) from None


def refuse_external(record: StudyRecord) -> None:
    """Raise ExternalStudyError for a study whose runs are recorded by their own programs: it has no spec."""
    if record.is_external:
        raise ExternalStudyError(
            f"the runs of study {record.name!r} are recorded by their own programs: nothing here can train any; "
            f"`gradstudy report {record.name}` shows those that there are"
        )


def stored_values(record: StudyRecord) -> dict[str, Any]:
    """What a study was created with, as JSON, with what was there before there was a choice.

    Raises:
        ExternalStudyError: see ``refuse_external``.
    """
    refuse_external(record)
    of_then = {"own_draws": True} if is_module_task(record.spec["task"]) else {}
    return of_then | record.spec | {"divergence": {"version": 1} | record.spec.get("divergence", {})}


def stored_spec(record: StudyRecord) -> StudySpec:
    """The spec that a study was created with; raises ExternalStudyError where there is none."""
    return parse_spec(stored_values(record))


def _understood(spec: StudySpec, name: str, place: tuple[str, ...], given: Any) -> list[FactorValue]:
    """The values of one factor, each read from a spec that has it; ValueError for what cannot be."""
    if not isinstance(given, (list, tuple)) or not given:
        raise ValueError(f"space.factors.{name} must be a list of values, but got {given!r}")
    values: dict[FactorValue, FactorValue] = {}  # a switch stays one: trials of older studies hold it
    for value in given:
        try:
            made = StudySpec.model_validate(replaced(spec.model_dump(mode="json"), place, value))
        except ValidationError as error:
            raise ValueError(
                f"{value!r} cannot be a value of factor {name!r}: {error_sentence(error, StudySpec)}"
            ) from None
        meaning = put_in(made.model_dump(mode="json"), place)
        if meaning in values:
            raise ValueError(f"factor {name!r} must have different values, but got {value!r} twice")
        values[meaning] = switch if isinstance(switch := plain_option(value), bool) else meaning
    return list(values.values())
