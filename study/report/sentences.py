"""The answer of a report in words, the same in every form."""

from collections.abc import Mapping
from typing import Any

from gradstudy.models.optimizer_settings import HYPERPARAMETERS
from gradstudy.models.tasks.module_task import is_module_task
from gradstudy.study.answer.evidence import Evidence, FreshRuns, Rival
from gradstudy.study.answer.recommendation import Recommendation
from gradstudy.study.horizon import in_words as at_horizon
from gradstudy.study.horizon.in_words import named
from gradstudy.study.report.report import Report
from gradstudy.study.spec.axis import ends, read_axis
from gradstudy.study.spec.factors import shown
from gradstudy.study.spec.plain import is_maximized, is_plain, is_recorded, reference_in_words
from gradstudy.study.wording import counted, times

PROBABLE = 0.75
"""Probability of a runner-up to be the better one above which a reader asks why it is not the answer."""
NEAR = 1.1
"""How far a learning rate may lie outside of a range that is drawn in steps, and still be of it."""
LONGEST = 60
"""Letters of one thing that a plain study varies: a name or value may be long."""
EXACT = ".12g"
"""How numbers that a person gave are written: 0.9999995 is not 1."""


def title(report: Report) -> str:
    """What was searched."""
    spec = report.study.spec
    if is_plain(spec):
        return _of_a_plain_study(spec)
    is_module = is_module_task(spec["task"])
    data = f"{spec['task']}, {spec['loss']}" if spec.get("loss") else spec["task"]
    factors = spec["space"].get("factors", {})
    varied = _varied(spec["space"])
    fixed = {"optimizer": "own optimizer" if spec["optimizer"] == "own" else spec["optimizer"]}
    fixed |= {name: f"{name} {spec[name]:{EXACT}}" for name in HYPERPARAMETERS if spec.get(name) is not None}
    fixed |= {"schedule": f"{spec['schedule']} schedule"} if spec.get("schedule", "constant") != "constant" else {}
    fixed |= {"warmup": f"warm-up {spec['warmup']:g}"} if spec.get("warmup") else {}
    if not is_module:  # whose function may take no size
        fixed |= {
            "hidden_size": f"hidden {spec['model']['hidden_size']}",
            "batch_size": f"batch {spec['batch_size']}",
        }
        fixed |= _of_the_model(spec["model"])
    fixed |= {"precision": spec["precision"]} if spec.get("precision", "float32") != "float32" else {}
    parts = [data, *(words for name, words in fixed.items() if name not in factors)]
    horizon = [f"horizon {spec['horizon']:,} steps"] if spec.get("horizon") else []
    return ", ".join([*parts, f"{spec['steps']} steps a trial", *horizon, *varied])


def _varied(space: Mapping[str, Any], digits: str = EXACT) -> list[str]:
    """The factors with their values, and what is searched on a range, as given or with so many digits."""
    factors, ranges = space.get("factors", {}), space.get("hyperparameters", {})
    varied = [f"{name} {'/'.join(shown(value) for value in values)}" for name, values in factors.items()]
    return varied + [f"{name} {low:{digits}} to {high:{digits}}" for name, (low, high) in ranges.items()]


def _of_a_plain_study(spec: Mapping[str, Any]) -> str:
    """What is known of a study that gradstudy did not launch."""
    low, high = ends(read_axis(spec["space"]["learning_rate"]))
    rates = f"learning rate {low:.3g}" + (f" to {high:.3g}" if low < high else "")
    what = "maximises" if is_maximized(spec) else "minimises"
    varied = [each if len(each) <= LONGEST else f"{each[:LONGEST]}…" for each in _varied(spec["space"], ".3g")]
    kind = f"a study of a plain Optuna program, which {what} its objective"
    if is_recorded(spec):
        kind = "runs that their own programs recorded"
    return f"{kind}; {', '.join([rates, *varied])}"


def _of_the_model(model: Mapping[str, Any]) -> dict[str, str]:
    """What a model has beyond the plain one, by the field that says so; older studies lack some fields."""
    attention = {True: "dot", False: "none"}.get(model.get("attention", False), model.get("attention"))
    words = {"bidirectional": "bidirectional encoder"} if model.get("bidirectional") else {}
    words |= {"attention": f"{attention} attention"} if attention != "none" else {}
    words |= {"tied": "tied embeddings"} if model.get("tied") else {}
    mup = model.get("parametrization", "standard") == "mup"
    words |= {"parametrization": f"muP from hidden {model['base_width']}"} if mup else {}
    smoothing = model.get("label_smoothing")
    return words | ({"label_smoothing": f"label smoothing {smoothing:g}"} if smoothing else {})


def progress(report: Report) -> str:
    """How many trials ended, and how."""
    counts = report.outcomes | ({"excluded": len(report.excluded)} if report.excluded else {})
    ended = ", ".join(f"{count:,} {outcome}" for outcome, count in counts.items()) or "none has ended yet"
    return f"{sum(counts.values()):,} of {report.study.budget:,} trials: {ended}"


def setting(report: Report) -> str:
    """The setting that is recommended, for the horizon where one is known, or that there is none."""
    if report.at_horizon is not None:
        return named(report.at_horizon.best.setting)
    return of_short_runs(report)


def of_short_runs(report: Report) -> str:
    """The setting that the study's own trials recommend, or that there is none."""
    if report.recommendation is None:
        return f"No setting can be recommended: no trial trained ({_why_not(report)})."
    return named(report.recommendation.setting)


def code(report: Report) -> str | None:
    """The code to paste; None without an answer."""
    if report.at_horizon is not None:
        return report.at_horizon.pytorch
    return None if report.recommendation is None else report.recommendation.pytorch


def kind(report: Report) -> str:
    """What the answer is, as the heading over it."""
    if report.at_horizon is not None:
        return f"Answer {at_horizon.kind(report.at_horizon)}"
    if report.recommendation is None:
        return "Answer"
    return "Answer, confirmed" if report.recommendation.evidence.firm else "Answer, provisional"


def standing(report: Report) -> str:
    """How much the answer can be trusted, and why; empty without one."""
    if report.at_horizon is not None:
        return at_horizon.standing(report.at_horizon)
    return "" if report.recommendation is None else _standing(report.recommendation)


def _standing(best: Recommendation) -> str:
    if best.evidence.firm:
        return "firm: confirmed by runs that had no part in the search"
    if best.evidence.fresh is None:
        return "provisional: the best guess, which no fresh run has tested"
    return "provisional: its fresh runs do not show yet that it is safe"


def evidence(report: Report) -> list[str]:
    """What the answer rests on, and what speaks against it."""
    if report.at_horizon is not None:
        return at_horizon.evidence(report.at_horizon)
    return evidence_of_short_runs(report)


def evidence_of_short_runs(report: Report) -> list[str]:
    """What the study's own trials say of the setting that they recommend."""
    best = report.recommendation
    if best is None:
        return []
    found = best.evidence
    spec = report.study.spec
    if is_plain(spec):
        sign = -1.0 if is_maximized(spec) else 1.0
        own = report.trials.set_index("number")["validation_loss"].get(best.setting.number)
        ended = "" if own is None else f"Trial {best.setting.number} ended there at an objective of {sign * own:.3g}. "
        lines = [ended + _expected_objective(found, sign=sign)]
    else:
        lines = [_fresh(found.fresh, found.steps) if found.fresh else _expected(found)]
    lines += _measured(found)
    lines += [_beside(runs, best.setting.learning_rate) for runs in found.beside]
    rate = best.setting.learning_rate
    if ends := usable_ends(found.usable_low, found.usable_high, rate):
        good = f"are about as good (within 2% of {reference_in_words(spec)})."
        lines.append(f"Learning rates from {ends[0]} to {ends[1]} {good}")
    if best.frontier is not None and best.frontier.learning_rate is not None:
        margin = best.frontier.learning_rate / best.setting.learning_rate
        low = "" if best.frontier.low is None else f" (at least {best.frontier.low:.3g})"
        edge = f"10% of runs diverge at learning rate {best.frontier.learning_rate:.3g}{low}"
        lines.append(f"{edge}: {times(margin)} as high.")
    if found.rival is not None:
        lines.append(_rival(found.rival, sign=-1.0 if is_maximized(spec) else 1.0, of_objective=is_plain(spec)))
    return [*lines, *found.cautions]


def usable_ends(low: float, high: float, rate: float) -> tuple[str, str] | None:
    """The ends of the learning rates that are about as good as the answer's, which is one of them.

    Args:
        low: the lowest of them, which is drawn in steps, as the highest is.
        high: the highest.
        rate: of the answer.

    Returns:
        None where the answer's is no part of them: where little is known the model may think another range safer.
    """
    if not (low < high and low / NEAR <= rate <= high * NEAR):
        return None
    ends = f"{low:.2g}", f"{high:.2g}"
    return ends[0] if float(ends[0]) <= rate else f"{rate:.3g}", ends[1] if float(ends[1]) >= rate else f"{rate:.3g}"


def _fresh(fresh: FreshRuns, steps: int | None) -> str:
    after = "" if steps is None else f" after {counted(steps, 'step')}"
    spread = "" if fresh.runs < 2 else f" ± {fresh.spread:.2g} from run to run"
    return (
        f"Validation loss {fresh.loss:.3f}{spread}{after}, the mean of {counted(fresh.runs, 'fresh run')}, of which "
        f"{fresh.diverged} diverged (95% interval {fresh.rate_low:.0%} to {fresh.rate_high:.0%})."
    )


def _expected(found: Evidence) -> str:
    after = "" if found.steps is None else f" after {counted(found.steps, 'step')}"
    return (
        f"Validation loss {found.loss:.3f} is expected{after} ({found.loss_low:.3f} to {found.loss_high:.3f}); a run "
        f"diverges with a probability of {found.risk:.0%} ({found.risk_low:.0%} to {found.risk_high:.0%}), by all "
        "runs of the study."
    )


def _expected_objective(found: Evidence, *, sign: float) -> str:
    low, high = sorted((sign * found.loss_low, sign * found.loss_high))
    return (
        f"An objective of {sign * found.loss:.3g} is expected ({low:.3g} to {high:.3g}); a run diverges with a "
        f"probability of {found.risk:.0%} ({found.risk_low:.0%} to {found.risk_high:.0%}), by all runs of the study."
    )


def _measured(found: Evidence) -> list[str]:
    """What was measured beside the loss."""
    which = "run" if found.fresh is None else "fresh run"
    by_runs: dict[int, list[str]] = {}
    for name, mean, runs in found.metrics:
        by_runs.setdefault(runs, []).append(f"{name} {mean:.3g}")
    return [
        f"Beside the loss, the mean of {counted(runs, which)} that did not diverge: {', '.join(metrics)}."
        for runs, metrics in by_runs.items()
    ]


def _beside(runs: FreshRuns, chosen: float) -> str:
    return (
        f"At {times(runs.learning_rate / chosen)} its learning rate ({runs.learning_rate:.3g}) {runs.diverged} of "
        f"{counted(runs.runs, 'fresh run')} diverged, with a mean loss of {runs.loss:.3f}."
    )


def _rival(rival: Rival, *, sign: float, of_objective: bool) -> str:
    shown = f"objective {sign * rival.loss:.3g}" if of_objective else f"loss {rival.loss:.3f}"
    why_not = ", but its runs do not show as well that it is safe" if rival.probability > PROBABLE else ""
    return (
        f"The runner-up, {named(rival.setting)} ({shown}), is the better one with a probability of "
        f"{rival.probability:.0%}{why_not}."
    )


def _why_not(report: Report) -> str:
    if report.causes:
        return " ".join(report.causes).rstrip(".")
    diverged, stalled = report.outcomes.get("diverged", 0), report.outcomes.get("stalled", 0)
    failed = report.outcomes.get("failed", 0)
    if failed and not diverged and not stalled and is_plain(report.study.spec):
        return f"all {failed} failed"
    if failed and not diverged and not stalled:
        return f"all {failed} failed: SELECT error FROM gradstudy_trial says why"
    if stalled:
        return f"{diverged} diverged, {stalled} stalled: train more steps"
    return f"all {diverged} diverged: search lower learning rates" if diverged else "nothing has ended yet"
