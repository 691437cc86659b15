"""What to run next when a study does not settle its question."""

from dataclasses import dataclass
from typing import Any

from gradstudy.models.strategies import STRATEGIES
from gradstudy.storage.studies import StudyRecord
from gradstudy.study.recommendation import Recommendation

TRIALS = 25
"""Of a follow-up: even if one of them diverges, the 95% upper bound on the rate is 20%."""
NARROW = 1.5
"""A follow-up searches learning rate and threshold within this factor of the setting."""
LOWER = 1000.0
"""How many times lower the learning rates go when everything diverged."""


@dataclass(frozen=True, kw_only=True)
class FollowUp:
    """A study to launch next.

    Attributes:
        reason: one sentence.
        spec: of the study, for ``gradstudy launch FILE.toml``.
    """

    reason: str
    spec: dict[str, Any]


def follow_up(study: StudyRecord, outcomes: dict[str, int], best: Recommendation | None) -> FollowUp | None:
    """The study to launch next; None when the recommendation is firm, or nothing has ended yet.

    Args:
        study: that was reported.
        outcomes: how many of its trials ended in each.
        best: its recommendation.
    """
    if best is not None:
        return None if best.firm else _near(study, best)
    if outcomes.get("stalled"):
        steps = 3 * study.spec["steps"]
        return FollowUp(reason=f"Train {steps} steps: some runs kept and learned nothing yet.",
                        spec=_changed(study, "longer", steps=steps))  # fmt: skip
    if outcomes.get("diverged"):
        low, _ = study.spec["space"]["learning_rate"]
        reason = f"Search learning rates from {low / LOWER:.3g} to {low:.3g}: all runs diverged above."
        return FollowUp(reason=reason, spec=_changed(study, "lower", learning_rate=[low / LOWER, low]))
    return None


def _near(study: StudyRecord, best: Recommendation) -> FollowUp:
    thresholds = {}
    if best.threshold is not None:
        limit = STRATEGIES[best.strategy].limit
        thresholds[best.strategy] = [_rounded(best.threshold / NARROW), _rounded(min(best.threshold * NARROW, limit))]
    return FollowUp(
        reason=f"Run {TRIALS} trials near it: if at most one diverges, the rate is below 20%.",
        spec=_changed(
            study,
            "near",
            trials=TRIALS,
            sampler="qmc",
            pruner="none",
            frontier_width=None,
            cells=[best.cell],
            strategies=[best.strategy],
            thresholds=thresholds,
            learning_rate=[_rounded(best.learning_rate / NARROW), _rounded(best.learning_rate * NARROW)],
        ),
    )


def _changed(study: StudyRecord, suffix: str, **changes: Any) -> dict[str, Any]:
    """The study's spec with another name and, in it or its space, other values."""
    space = dict(study.spec["space"])
    spec = {**study.spec, "name": f"{study.name}-{suffix}", "space": space}
    for field, value in changes.items():
        (space if field in space else spec)[field] = value
    return spec


def _rounded(number: float) -> float:
    return float(f"{number:.3g}")
