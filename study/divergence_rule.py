"""The constants of the definition of divergence, see ``gradstudy.study.divergence``."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from gradstudy.models.loss_names import LossKind

VERSION_1 = (0.99, 1.0)
"""Version 1's ``stalled_above`` and ``no_recovery_above``, as they are where nobody gives them."""


class DivergenceRule(BaseModel):
    """The constants of the definition of divergence, part of every spec.

    Version 1 knew no noise: a run that ended above its untrained loss had diverged, by however little. Studies that
    were launched with it are judged by it to their end.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1, 2] = Field(default=2, description="of the definition; studies keep the one they began with")
    half_life: float = Field(default=10.0, gt=0, description="of the smoothed loss, in steps")
    blow_up: float = Field(
        default=5.0, gt=1, description="smoothed loss over initial loss that ends a run, for absolute errors"
    )
    blow_up_squared: float = Field(default=100.0, gt=1, description="the same for squared errors")
    blow_up_spread: float = Field(
        default=100.0,
        gt=1,
        description="rise above the initial loss that ends a run whose loss may be negative, in units of the untrained "
        "loss's spread over batches and what was learned",
    )
    noise_share: float = Field(
        default=0.01, ge=0, le=1, description="share of the initial loss within which a run has learned nothing"
    )
    noise_errors: float = Field(
        default=5.0, ge=0, description="the same in standard errors of what a run has gained; the larger one counts"
    )
    collapse: float = Field(
        default=0.5, gt=0, le=1, description="share of what a run had learned whose loss at its end is a collapse"
    )
    collapse_gain: float = Field(
        default=0.1, gt=0, le=1, description="share of the initial loss that a run must have gained to collapse"
    )
    stalled_above: float = Field(
        default=0.99,
        gt=0,
        le=1,
        description="version 1: a run that ends above this share of the initial loss has stalled",
    )
    no_recovery_above: float = Field(
        default=1.0, ge=1, description="version 1: a run that ends above this multiple of the initial loss has diverged"
    )
    skipped_in_a_row: int = Field(
        default=5, ge=1, description="steps that the non-finite guard may skip in a row before the run ends"
    )

    @model_validator(mode="after")
    def _constants_of_the_version(self) -> Self:
        if self.version > 1 and (self.stalled_above, self.no_recovery_above) != VERSION_1:
            raise ValueError(
                "stalled_above and no_recovery_above belong to version 1; version 2 takes noise_share and noise_errors "
                f"instead, but got {self.stalled_above:g} and {self.no_recovery_above:g}"
            )
        return self

    def blow_up_factor(self, loss: LossKind) -> float:
        """The multiple of the initial loss at which a run has blown up."""
        return self.blow_up_squared if loss == "mse" else self.blow_up
