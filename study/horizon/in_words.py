"""The answer at a horizon in words."""

from gradstudy.study.answer.evidence import ACCEPTABLE_UPPER_BOUND, RecommendedSetting
from gradstudy.study.horizon.answer import AS_GOOD, AtHorizon, Predicted
from gradstudy.study.horizon.causes import CAUSES
from gradstudy.study.spec.plain import UNKNOWN_CELL, UNKNOWN_STRATEGY
from gradstudy.study.spec.rungs import BEYOND
from gradstudy.study.wording import counted, times

BY_CAUSE = {
    "blow_up": "blow up",
    "collapse": "lose what they had learned",
    "no_recovery": "have not come back below their untrained loss by then",
}
"""What runs do that diverge by each of ``CAUSES``."""


def named(setting: RecommendedSetting) -> str:
    """A setting in words."""
    threshold = "" if setting.threshold is None else f" at {setting.threshold:.3g}"
    strategy = setting.strategy + threshold
    if setting.strategy == UNKNOWN_STRATEGY:
        strategy = f"clipping{threshold}" if threshold else ""
    cell = "" if setting.cell == UNKNOWN_CELL else setting.cell.upper()
    return ", ".join(filter(None, (cell, strategy, f"learning rate {setting.learning_rate:.3g}", setting.factors)))


def kind(answer: AtHorizon) -> str:
    """For how many steps the answer is, and whether it was measured there."""
    return f"for {answer.steps:,} steps, {'measured' if answer.is_measured else 'extrapolated'}"


def standing(answer: AtHorizon) -> str:
    """How far it can be trusted, and why."""
    if answer.is_measured:
        return f"measured: by runs of {answer.steps:,} steps"
    return f"extrapolated: no run of it is longer than {answer.best.measured[-1].steps:,} steps"


def evidence(answer: AtHorizon) -> list[str]:
    """What the answer rests on, what is extrapolated, and what the answer of the short runs does there."""
    return [
        _predicted(answer),
        _causes(answer.best),
        _measured(answer.best),
        *_extrapolated(answer),
        _of_short(answer),
        *_caution(answer),
    ]


def beyond(answer: AtHorizon) -> str:
    """How far what is known reaches."""
    return f"Nothing is known of training beyond {BEYOND * answer.longest:,} steps."


def _predicted(answer: AtHorizon) -> str:
    best = answer.best
    verb = "expected" if answer.is_measured else "predicted"
    return (
        f"After {answer.steps:,} steps a validation loss of {best.loss:.3g} ({best.loss_low:.3g} to "
        f"{best.loss_high:.3g}) is {verb}, and that {best.risk:.0%} of runs have diverged by then ({best.risk_low:.0%} "
        f"to {best.risk_high:.0%}; both are 90% intervals)."
    )


def _causes(best: Predicted) -> str:
    shares = sorted(zip(best.causes, CAUSES, strict=True), reverse=True)
    parts = [f"{share / best.risk:.0%} {BY_CAUSE[cause]}" for share, cause in shares]
    return f"Of those that diverge, {parts[0]}, {parts[1]} and {parts[2]}, by the divergences seen and what is usual."


def _measured(best: Predicted) -> str:
    parts = [
        f"{each.steps:,} steps: {each.loss:.3g} in {counted(each.runs, 'run')}, {each.diverged} diverged"
        for each in best.measured
    ]
    return f"Measured of it, the mean loss after {'; '.join(parts)}."


def _extrapolated(answer: AtHorizon) -> list[str]:
    last = answer.best.measured[-1].steps
    if answer.is_measured:
        return []
    return [
        f"Extrapolated: from {last:,} to {answer.steps:,} steps, {times(answer.steps / last)} beyond its longest "
        "runs; no run of it was made there."
    ]


def _of_short(answer: AtHorizon) -> str:
    other = answer.of_short
    if other is None:
        return f"The answer of the runs of {answer.short:,} steps is the same."
    more = other.loss - answer.best.loss
    share = f" ({more / answer.best.loss:.0%})" if answer.best.loss > 0 else ""
    ends = f"higher by {more:.3g}{share}" if more >= 0 else f"lower by {-more:.3g}"
    said = f"The answer of the runs of {answer.short:,} steps, {named(other.setting)}, ends {ends}"
    if more < 0:
        return f"{said}, but more of its runs diverge: {other.risk:.0%}."
    if answer.holds:
        return f"{said}: about as good, within {AS_GOOD:.0%} of the untrained loss."
    return f"{said}: it does not hold there."


def _caution(answer: AtHorizon) -> list[str]:
    if answer.best.risk_high <= ACCEPTABLE_UPPER_BOUND:
        return []
    return [
        f"That few of its runs diverge by then is not shown: {ACCEPTABLE_UPPER_BOUND:.0%} would be acceptable as the "
        "upper end."
    ]
