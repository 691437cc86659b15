"""What to run next when a study does not settle its question."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gradstudy.storage.studies import StudyRecord
from gradstudy.study.answer.recommendation import Recommendation
from gradstudy.study.spec.axis import ends, read_axis
from gradstudy.study.spec.study_name import derived_name
from gradstudy.study.spec.study_spec import stored_values

EVEN = 0.5
"""Probability of the runner-up to be the better one above which more runs are worth their time."""
LOWER = 1000.0
"""How many times lower the learning rates go when everything diverged."""


@dataclass(frozen=True, kw_only=True)
class FollowUp:
    """What to launch next.

    Attributes:
        reason: one sentence.
        command: that runs it.
        spec: of the study to launch, for the file that the command names; None where the command needs none.
    """

    reason: str
    command: str
    spec: dict[str, Any] | None


def follow_up(
    study: StudyRecord,
    outcomes: dict[str, int],
    best: Recommendation | None,
    confirms: str | None = None,
    causes: Sequence[str] = (),
    *,
    has_confirmation: bool = False,
) -> FollowUp | None:
    """What to launch next; None when fresh runs have confirmed a setting, nothing has ended yet, or no setting helps.

    Args:
        study: that was reported.
        outcomes: how many of its trials ended in each.
        best: its recommendation.
        confirms: the study that it confirms, if it is a confirmation.
        causes: what else than settings is at fault, see ``causes``.
        has_confirmation: whether a study confirms it.
    """
    if confirms is not None:
        reason = f"What these runs say of the settings that study {confirms!r} chose is in the report of that study."
        return FollowUp(reason=reason, command=f"gradstudy report {confirms}", spec=None)
    if best is not None:
        rival = best.evidence.rival
        if has_confirmation or (best.evidence.firm and (rival is None or rival.probability <= EVEN)):
            return None
        reason = "Confirm it: more fresh runs tell its divergence rate, and whether the runner-up is better."
        return FollowUp(reason=reason, command=f"gradstudy confirm {study.name}", spec=None)
    if causes:
        return None
    if outcomes.get("stalled"):
        steps = 3 * study.spec["steps"]
        reason = f"Train {steps} steps: some runs kept and learned nothing yet."
        return _study(reason, study, "longer", {"steps": steps}, {})
    if outcomes.get("diverged"):
        low, _ = ends(read_axis(study.spec["space"]["learning_rate"]))
        reason = f"Search learning rates from {low / LOWER:.3g} to {low:.3g}: all runs diverged above."
        changes = {"sampler": "auto"} if study.spec.get("sampler") == "grid" else {}  # which takes no range
        return _study(reason, study, "lower", changes, {"learning_rate": [low / LOWER, low]})
    return None


def _study(reason: str, study: StudyRecord, suffix: str, changes: dict[str, Any], in_space: dict[str, Any]) -> FollowUp:
    """A study like this one with another name and, in its spec or the spec's space, other values."""
    name = derived_name(study.name, f"-{suffix}")
    spec = stored_values(study) | {"name": name, **changes, "space": study.spec["space"] | in_space}
    return FollowUp(reason=reason, command=f"gradstudy launch {name}.toml", spec=spec)
