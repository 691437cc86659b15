"""The parts of a spec: the model that trials train, the space that is searched, what another study found."""

from math import ceil
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, field_validator, model_validator

from gradstudy.models.attention_names import AttentionName
from gradstudy.models.cell_names import Cell
from gradstudy.models.parametrization_names import ParametrizationName
from gradstudy.models.strategies import SEARCHED_BY_DEFAULT, STRATEGIES
from gradstudy.study.spec.axis import Axis, Range, ValueList, ends
from gradstudy.study.spec.checks.scale import check_scale
from gradstudy.study.spec.factors import FactorValue
from gradstudy.study.spec.optimizer.searched import checked

CellName = Literal[Cell, "module"]
Precision = Literal["float32", "bfloat16", "float16"]
MODULE_CELL: CellName = "module"
"""The cell of a module task whose function takes none."""


class Part(BaseModel):
    """A part of a spec: fixed once it was validated, and without fields that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


_SWITCHED: dict[Any, AttentionName] = {True: "dot", False: "none", "true": "dot", "false": "none", None: "none"}
"""What attention was when it was a switch, as older studies hold it; a factor's value of none is no value."""

Attention = Annotated[
    AttentionName,
    BeforeValidator(lambda given: _SWITCHED.get(given, given) if isinstance(given, bool | str | None) else given),
]


class ModelSpec(Part):
    """The encoder-decoder that every trial trains."""

    hidden_size: int = Field(default=64, ge=1, le=4096, description="hidden units of each layer")
    embedding_size: int | None = Field(default=None, ge=1, le=4096, description="the hidden size when not given")
    layers: int = Field(default=1, ge=1, le=16, description="layers of the encoder, and of the decoder")
    bidirectional: bool = Field(default=False, description="whether the encoder reads in both directions")
    attention: Attention = Field(default="none", description="how the decoder attends to the encoder's outputs")
    tied: bool = Field(default=False, description="whether the decoder's embedding is the output layer's weight")
    label_smoothing: float = Field(
        default=0.0, ge=0, lt=1, description="share of each target symbol that training spreads over all symbols"
    )
    dropout: float = Field(default=0.0, ge=0, lt=1, description="dropout rate")
    forget_bias: float | None = Field(
        default=None,
        ge=-100,
        le=100,
        description="initial bias of an LSTM's forget gates; as torch draws it if not given",
    )
    parametrization: ParametrizationName = Field(
        default="standard", description="mup: learning rates that are right at one hidden size are so at others"
    )
    base_width: int = Field(default=64, ge=1, le=4096, description="hidden size at which mup and standard are the same")


class SearchSpace(Part):
    """What is searched: cell, strategy, threshold where the strategy has one, learning rate."""

    cells: tuple[CellName, ...] = Field(default=("lstm", "gru"), description="recurrent cells that are compared")
    strategies: tuple[str, ...] = Field(
        default=SEARCHED_BY_DEFAULT, description="clipping strategies that are compared"
    )
    learning_rate: Axis = Field(
        default=(1e-2, 100.0), description="range, searched on a logarithmic axis; or the values that are tried"
    )
    thresholds: dict[str, Axis] = Field(
        default_factory=dict, description="strategy -> range or values; the catalogue's range where not given"
    )
    factors: dict[str, tuple[FactorValue, ...]] = Field(
        default_factory=dict, description="field of the spec or option of the task -> values that are searched"
    )

    hyperparameters: dict[str, Range] = Field(
        default_factory=dict, description="momentum, beta1, beta2, epsilon or weight_decay -> range that is searched"
    )

    scale_to: dict[str, float] = Field(
        default_factory=dict, description="a factor, such as hidden_size -> larger value that the report predicts for"
    )

    @field_validator("hyperparameters")
    @classmethod
    def _can_be_searched(cls, given: dict[str, Range]) -> dict[str, Range]:
        return {name: checked(name, ends) for name, ends in given.items()}

    @field_validator("cells", "strategies")
    @classmethod
    def _some_and_different(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if not names or len(set(names)) < len(names):
            raise ValueError(f"must name at least one and none twice, but got {', '.join(names) or 'none'}")
        return names

    @field_validator("strategies")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in STRATEGIES:
                raise ValueError(f"must be among {', '.join(STRATEGIES)}, but got {name!r}")
        return names

    @model_validator(mode="after")
    def _smaller_values_to_scale_from(self) -> Self:
        check_scale(self.scale_to, self.factors)
        return self

    @model_validator(mode="after")
    def _thresholds_of_searched_strategies(self) -> Self:
        takes = [name for name in self.strategies if STRATEGIES[name].unit is not None]
        for name in self.thresholds:
            if name not in takes:
                accepted = ", ".join(takes) or "none of the searched strategies"
                raise ValueError(f"thresholds are taken by {accepted}, but got one for {name!r}")
            high, limit = ends(self.thresholds[name])[1], STRATEGIES[name].limit
            if high > limit:
                raise ValueError(f"thresholds of {name!r} must be at most {limit:g}, but got {high:g}")
        return self

    def threshold_axis(self, strategy: str) -> Range | ValueList | None:
        """The axis of a strategy's threshold in its own unit; None where it has no threshold."""
        entry = STRATEGIES[strategy]
        if entry.low is None or entry.high is None:
            return None
        return self.thresholds.get(strategy, (entry.low, entry.high))

    def threshold_range(self, strategy: str) -> Range | None:
        """The lowest and the highest threshold of a strategy; None where it has no threshold."""
        axis = self.threshold_axis(strategy)
        return None if axis is None else ends(axis)


ALL: Literal["all"] = "all"
NONE: Literal["none"] = "none"


def _as_number(given: Any) -> Any:
    """From a command line every value is text."""
    return int(given) if isinstance(given, str) and given.isdecimal() else given


KeptSteps = Annotated[Literal["all", "none"] | Annotated[int, Field(ge=2, le=10_000_000)], BeforeValidator(_as_number)]


def kept_every(keep: KeptSteps, steps: int) -> int:
    """Of how many steps one is kept, so that of all so many are left; 1 where none is kept for being one of them.

    Args:
        keep: of the spec.
        steps: of the longest trial.
    """
    return ceil(steps / keep) if isinstance(keep, int) else 1


class FoundFrontier(Part):
    """The frontier of one cell, strategy and half-decade of threshold, as another study knew it."""

    cell: str = Field(description="the cell")
    strategy: str = Field(description="the strategy")
    threshold_bin: float | None = Field(default=None, gt=0, description="where the half-decade begins")
    factors: dict[str, FactorValue] = Field(default_factory=dict, description="what the other study varied")
    learning_rate: float = Field(gt=0, lt=float("inf"), description="of the frontier")
    decades: float = Field(gt=0, le=100, description="standard deviation of its logarithm")


class Like(Part):
    """What another study found, as it was when this one was launched; given as its name, it is looked up then."""

    study: str = Field(description="the other study, in the same database")
    slope: float = Field(default=8.0, gt=0, le=1e6, description="log odds of divergence for each decade there")
    rise: float = Field(default=6.0, gt=0, le=1e6, description="nats of the loss for each decade there")
    frontiers: tuple[FoundFrontier, ...] = Field(default=(), description="what it found; filled in at launch")

    @model_validator(mode="before")
    @classmethod
    def _by_its_name(cls, given: Any) -> Any:
        return {"study": given} if isinstance(given, str) else given


GivenByName = Annotated[Like, WithJsonSchema({"type": "string"})]
"""As a file or a command line gives it."""
