"""How a study of a plain Optuna program is read, where that does not follow from the study."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Literal

from gradstudy.study.errors import UnreadableStudyError

ROLES = ("learning_rate", "threshold", "strategy", "cell")
"""What a parameter can be beside a factor."""
Failures = Literal["diverged", "failed"]


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What a person says about a study.

    Attributes:
        axes: the parameters that are learning rate, threshold, strategy and cell, by these names; several ones of which
            a trial has one are separated by commas.
        objective: the place among several objectives, from 0, or its name.
        untrained: the objective of the untrained model.
        failures: what trials are that failed and left nothing that says why.
    """

    axes: Mapping[str, str] = field(default_factory=dict)
    objective: str | int | None = None
    untrained: float | None = None
    failures: Failures | None = None

    def __post_init__(self) -> None:
        """Refuse what no study has.

        Raises:
            UnreadableStudyError: a role that there is not.
        """
        for role in self.axes:
            if role not in ROLES:
                raise UnreadableStudyError(f"a parameter can be {', '.join(ROLES)}, but got {role!r}")

    @property
    def is_given(self) -> bool:
        """Whether anything was said."""
        return any(getattr(self, each.name) not in (None, {}) for each in fields(self))
