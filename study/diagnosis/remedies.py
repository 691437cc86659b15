"""What to try with a run, the likeliest first, and why."""

from collections.abc import Iterator
from dataclasses import dataclass

from gradstudy.models.strategies import STRATEGIES
from gradstudy.study.answer.code_to_paste import code_to_paste
from gradstudy.study.diagnosis.run_diagnosis import RunDiagnosis
from gradstudy.study.literature.causes import CAUSES
from gradstudy.study.literature.remedies import REMEDIES
from gradstudy.study.wording import step_in_words, three_digits

EARLY_STEPS, EARLY_SHARE = 200, 0.1
"""Steps, or the share of them, in which the absence of a warm-up shows."""
TENTH = "of 201 diverged trials it saved 78% in one task and all in another: more than anything else (docs/rescue.md)"
BY_NORM = "saved 59% and 51% of those trials, at the norm of their healthy steps"
ENOUGH = 30
"""Losses of a run that stalled, for another learning rate to be recommended."""
SHORTLY = 10
"""Points of the log before the first bad step within which a jump of the rate is to blame."""
UNKNOWN_TASK = "module:PACKAGE.MODULE:FUNCTION"
DECADES_BELOW = 100.0
"""How many times lower than the rate that diverged a study's range begins."""
AFTER_BACKWARD = "# after loss.backward()\n"


@dataclass(frozen=True, kw_only=True)
class Remedy:
    """Something to try.

    Attributes:
        what: to do, a phrase.
        why: a sentence without its full stop.
        code: to paste, or a command; empty where neither helps.
    """

    what: str
    why: str
    code: str = ""


def remedies(run: RunDiagnosis, *, is_shared: bool) -> list[Remedy]:
    """What to try, in order.

    Args:
        run: that was diagnosed.
        is_shared: whether other runs broke at the same step.
    """
    if run.judged.outcome == "failed":
        why = (
            "no loss of this log is finite, not even the first one: no learning rate, threshold or strategy mends that"
        )
        return [Remedy(what="Look at the data and the loss", why=why)]
    if run.is_bad:
        return list(_of_divergence(run, is_shared=is_shared))
    return list(_of_others(run))


def _of_divergence(run: RunDiagnosis, *, is_shared: bool) -> Iterator[Remedy]:
    is_of_batch = run.judged.first_bad is not None and (is_shared or run.is_sudden)
    if is_of_batch:
        yield _look_at_batch(run, is_shared=is_shared)
    if (jump := _jump_before(run)) is not None:
        yield Remedy(
            what="Look at the schedule of the learning rate",
            why=f"it jumped at {run.unit} {step_in_words(jump)}, shortly before the first bad one",
        )
    yield _lower_rate(run)
    yield _clipping(run)
    if _is_early(run) and not is_of_batch:
        yield Remedy(
            what="A warm-up of the learning rate",
            why="it broke early; a warm-up lets rates be higher, but rarely saves one that is far too high "
            f"({REMEDIES['warmup'].source})",
        )
    elif run.spikes or run.spikes_of_norm:
        yield Remedy(
            what="With Adam: a smaller beta2 (0.95), or a larger epsilon",
            why=f"it had spikes before ({CAUSES['adam'].source})",
        )
    yield _study(run)


def _look_at_batch(run: RunDiagnosis, *, is_shared: bool) -> Remedy:
    why = "other runs broke at the same step" if is_shared else "all was well until then, and at once not finite"
    threshold = None if run.healthy_norms is None else run.healthy_norms.threshold
    strategy = "none" if threshold is None else "norm"
    code = code_to_paste(strategy, threshold, 0.0, {"optimizer": "own", "guard": True})
    return Remedy(
        what=f"Look at the batch of {run.unit} {step_in_words(run.judged.first_bad or 0.0)}",
        why=f"{why}: empty or wrong targets, lengths of 0, a logarithm or a division by 0; skipping such steps lets a "
        "run go on",
        code=code.partition(AFTER_BACKWARD)[2],
    )


def _jump_before(run: RunDiagnosis) -> float | None:
    """Where the learning rate jumped shortly before the first bad step; None where it did not."""
    bad, rate = run.judged.first_bad, run.course_of_rate
    if bad is None or rate is None:
        return None
    near = bad - SHORTLY * max(run.spacing, run.rates.spacing)
    return next((step for step in rate.jumps if near <= step <= bad), None)


def _lower_rate(run: RunDiagnosis) -> Remedy:
    rate = run.bad_rate
    what = "A tenth of the learning rate"
    return Remedy(what=f"{what}: {rate / 10:.3g} instead of {rate:.3g}" if rate else what, why=TENTH)


def _clipping(run: RunDiagnosis) -> Remedy:
    norms = run.healthy_norms
    if norms is not None and norms.clipped_at is not None:
        half = three_digits(norms.clipped_at / 2)
        return Remedy(
            what=f"Clipping by norm at {half:g}",
            why=f"the norms in the log look clipped at {norms.clipped_at:g}; log them before clipping "
            "(clip_grad_norm_ returns that), their 90th percentile is a better threshold",
            code=STRATEGIES["norm"].pytorch(half),
        )
    if norms is None or norms.threshold is None:
        return Remedy(
            what="Clipping by norm, with the norm logged",
            why=f"it {BY_NORM}; there are too few norms in this log to suggest a threshold",
            code="norm = torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)  # returns the norm before",
        )
    return Remedy(
        what=f"Clipping by norm at {norms.threshold:g}",
        why=f"the 90th percentile of its norms while it was well; it {BY_NORM}",
        code=STRATEGIES["norm"].pytorch(norms.threshold),
    )


def _is_early(run: RunDiagnosis) -> bool:
    """Whether it broke where the absence of a warm-up shows, and none is known."""
    bad, rate = run.judged.first_bad, run.course_of_rate
    if bad is None or (rate is not None and rate.warm_until is not None):
        return False
    return bad <= max(EARLY_STEPS if run.unit == "step" else 0, EARLY_SHARE * run.last_step)


def _study(run: RunDiagnosis) -> Remedy:
    rate, norms = run.bad_rate, run.healthy_norms
    searched = f" --lr {three_digits(rate / DECADES_BELOW):g}:{three_digits(rate):g}" if rate else ""
    threshold = norms.threshold if norms is not None else None
    if threshold:
        thresholds = ",".join(f"{three_digits(threshold * factor):g}" for factor in (0.25, 1, 4))
        searched += f" --threshold norm={thresholds}"
    return Remedy(
        what="A study of your model",
        why="it says which rates and thresholds are safe, with their uncertainty (docs/own-model.md)",
        code=f"gradstudy launch mine --task {UNKNOWN_TASK}{searched}",
    )


def _of_others(run: RunDiagnosis) -> Iterator[Remedy]:
    if run.judged.outcome == "stalled" and run.losses.seen >= ENOUGH and not run.columns.is_validation:
        rate = run.bad_rate
        higher = f": {10 * rate:.3g} instead of {rate:.3g}" if rate else ""
        yield Remedy(
            what=f"Ten times the learning rate{higher}",
            why="it ended where it began, which is no fault of a run that goes on where another one ended; if it "
            "changes nothing, look whether the targets belong to the inputs and the optimizer has the parameters",
        )
    if run.spikes or run.spikes_of_norm:
        yield _clipping(run)
