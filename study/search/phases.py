"""What a launch with the sampler 'auto' spends its budget on, in its order."""

from dataclasses import dataclass
from typing import Self

from gradstudy.study.spec.study_spec import StudySpec
from gradstudy.study.worth.proof import PROOF_RUNS

SPREAD_SHARE = 0.12
FEWEST_SPREAD = 10
FRESH_SHARE = 0.25
"""Of the budget, for fresh runs."""
LARGEST_FRESH_SHARE = 0.4


@dataclass(frozen=True)
class Phases:
    """The phases over the places of a budget.

    Attributes:
        spread: how many settings are spread over the space.
        searched: how many settings there are before fresh runs begin.
        places: of the budget: with replicates, each is of several trials.
    """

    spread: int
    searched: int
    places: int

    @classmethod
    def of(cls, places: int) -> Self:
        """The phases of a budget."""
        wanted = min(PROOF_RUNS, round(LARGEST_FRESH_SHARE * places))
        fresh = max(round(FRESH_SHARE * places), wanted)
        searched = places - fresh
        return cls(min(max(round(SPREAD_SHARE * places), FEWEST_SPREAD), searched), searched, places)

    def name(self, place: int) -> str:
        """What a place of the budget is spent on, in words."""
        if place < self.spread:
            return "spreading"
        return "searching" if place < self.searched else "fresh runs"


def phase_name(spec: StudySpec, begun: int) -> str | None:
    """What the last of the trials that have begun was for; None with another sampler, and before the first."""
    if spec.sampler != "auto" or begun == 0:
        return None
    return Phases.of(spec.trials // spec.seeds).name((begun - 1) // spec.seeds)
