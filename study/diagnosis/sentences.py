"""What a diagnosis says of a run, in sentences that every form shares."""

from collections.abc import Iterator

from gradstudy.study.diagnosis.attempt import Judged
from gradstudy.study.diagnosis.baseline import FEW, NOISE_SHARE
from gradstudy.study.diagnosis.diagnose import Diagnosis
from gradstudy.study.diagnosis.run_diagnosis import RunDiagnosis
from gradstudy.study.wording import counted, listed_steps, step_in_words

WHAT = {
    "non_finite_loss": "the loss became infinite or NaN",
    "non_finite_gradient": "the gradient became infinite or NaN",
    "blow_up": "the loss rose far above where it began, and stayed there",
    "no_recovery": "the loss ended above where it began",
    "collapse": "the loss lost more than half of what it had gained",
}
DENSE = 1.0
"""Steps from one loss to the next in a log of every step."""


def verdict(run: RunDiagnosis) -> str:
    """How a run ended, one sentence."""
    judged = run.judged
    if judged.outcome == "failed":
        return "Not a single loss is finite."
    if judged.outcome == "diverged" and judged.first_bad is not None:
        since = judged.not_finite_since
        later = f" at {_at(run, since)}" if since is not None and since != judged.first_bad else ""
        bad = f"First bad {run.unit}: {step_in_words(judged.first_bad)}{_after(run, judged)}."
        return f"Diverged: {WHAT[str(judged.reason)]}{later}. {bad}"
    what = "validation loss" if run.columns.is_validation else "loss"
    losses = f"the smoothed {what} went from {run.base.untrained:.4g} to {judged.final:.4g}"
    course = f"{losses} by {_at(run, run.last_step)}"
    if judged.outcome == "stalled":
        return f"No clear gain: {course}."
    return f"Trained: {course}."


def _after(run: RunDiagnosis, judged: Judged) -> str:
    if judged.last_good is None:
        return " (the first of the log)" if judged.first_bad == run.first_step else ""
    if judged.first_bad is not None and judged.first_bad - judged.last_good > DENSE:
        return f" (the last good one in the log is {step_in_words(judged.last_good)})"
    return ""


def facts(run: RunDiagnosis) -> list[str]:
    """What else is known, a sentence each."""
    return [*_order(run), *_spikes(run), *_norms(run), *_rate(run), *_cautions(run)]


def shared(diagnosis: Diagnosis) -> list[str]:
    """What runs have in common."""
    sentences = []
    for step, runs in diagnosis.shared_steps.items():
        rates = {run.bad_rate for run in runs}
        whatever = ", whatever their learning rates" if len(rates) > 1 else ""
        sentences.append(
            f"{len(runs)} of {counted(len(diagnosis.runs), 'run')} broke at {_at(runs[0], step)}{whatever}: "
            "look at the batch of that step, or at what your program does there, rather than at the setting."
        )
    return sentences


def _order(run: RunDiagnosis) -> Iterator[str]:
    bad, left = run.judged.first_bad, run.norm_left_at
    match run.went_first:
        case "gradient" if bad is not None and left is not None:
            yield f"The gradient went first: its norm left its range at {_at(run, left)}."
        case "both":
            yield "The gradient's norm left its range at the same step of the log."
        case "loss":
            when = "stayed within its range" if left is None else f"left its range later, at {_at(run, left)}"
            yield f"The loss went first: the gradient's norm {when}."
        case _:
            pass


def _spikes(run: RunDiagnosis) -> Iterator[str]:
    for what, spikes in (("loss", run.spikes), ("gradient's norm", run.spikes_of_norm)):
        if spikes:
            step, value, _ = max(spikes, key=lambda spike: spike.value)
            where = f"at {run.unit}{'' if len(spikes) == 1 else 's'} {listed_steps([spike.step for spike in spikes])}"
            largest = "" if len(spikes) == 1 else f", the largest at {_at(run, step)}"
            yield f"{counted(len(spikes), 'spike')} of the {what} {where}{largest} ({value:.4g})."


def _norms(run: RunDiagnosis) -> Iterator[str]:
    norms = run.healthy_norms
    if norms is None:
        return
    when = " before the first bad step" if run.judged.first_bad is not None else ""
    of_them = f"median {norms.median:.3g}, 90th percentile {norms.p90:.3g}, largest {norms.largest:.3g}"
    said = f"Norms of the gradient{when}: {of_them}"
    if norms.clipped_at is not None:
        yield f"{said}; so many are {norms.clipped_at:g} that they must have been clipped before they were logged."
    elif norms.threshold is not None:
        yield f"{said}: the first threshold to try with norm is {norms.threshold:g}."
    else:
        yield f"{said}."


def _rate(run: RunDiagnosis) -> Iterator[str]:
    course, bad = run.course_of_rate, run.judged.first_bad
    if course is None:
        return
    if course.is_constant:
        yield f"The learning rate is {course.first:.3g} all the time, without a warm-up."
        return
    start = (
        f"rises from {course.first:.3g} to {course.highest:.3g} by {_at(run, course.warm_until)}"
        if course.warm_until is not None
        else f"begins at {course.first:.3g}, without a warm-up"
    )
    end = f", and falls to {course.last:.3g}" if course.falls else ""
    again = (
        f"; it rises at {run.unit}{'s' if len(course.jumps) > 1 else ''} {listed_steps(list(course.jumps))}"
        if course.jumps
        else ""
    )
    yield f"The learning rate {start}{end}{again}."
    if bad is not None and run.bad_rate is not None:
        is_warming = course.warm_until is not None and bad < course.warm_until
        when = ", during the warm-up" if is_warming else ""
        yield f"Before the first bad {run.unit} it was {run.bad_rate:.3g}{when}."


def _cautions(run: RunDiagnosis) -> Iterator[str]:
    for bad, back in run.ended_attempts:
        went = f"An earlier attempt went wrong at {_at(run, bad)}; the run went back to"
        yield f"{went} {_at(run, back)}, and what followed is judged."
    if run.skipped:
        skipped = counted(run.skipped, "step")
        yield f"{skipped} with a loss or norm that is not finite, after which the run went on, as with AMP."
    if run.beyond_and_back is not None:
        since = _at(run, run.beyond_and_back)
        yield f"From {since} on the loss was beyond its limit for a while, and came back."
    if run.zero_since is not None and run.judged.outcome != "diverged":
        yield (
            f"The loss is exactly 0 from {_at(run, run.zero_since)} on: Hugging Face's trainer writes that "
            "where it leaves out NaN (logging_nan_inf_filter)."
        )
    if run.validation_not_finite is not None and not run.is_bad:
        at = _at(run, run.validation_not_finite)
        yield f"The validation loss is not finite at {at}: look at the validation data."
    if run.columns.is_validation:
        yield (
            "Only a validation loss is logged, which also rises where a model overfits: only what is not finite or "
            "blows up counts."
        )
    if run.losses.seen < FEW and run.judged.outcome in ("trained", "stalled"):
        yield f"Only {run.losses.seen} of its losses are in the log: too few for more than this."
    elif run.judged.outcome == "stalled":
        within = f"That is: within noise, or {NOISE_SHARE:.0%}, of its first losses"
        yield f"{within}, which stand for the untrained model's."


def _at(run: RunDiagnosis, step: float) -> str:
    """``step 1,200`` or ``epoch 3``."""
    return f"{run.unit} {step_in_words(step)}"
