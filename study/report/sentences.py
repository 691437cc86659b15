"""The answer of a report in words, the same in every form."""

from gradstudy.models.tasks.module_task import is_module_task
from gradstudy.study.answer.recommendation import Recommendation
from gradstudy.study.report.report import Report
from gradstudy.study.spec.factors import shown
from gradstudy.study.wording import counted


def title(report: Report) -> str:
    """What was searched."""
    spec = report.study.spec
    is_module = is_module_task(spec["task"])
    data = f"{spec['task']}, {spec['loss']}" if spec.get("loss") else spec["task"]
    factors = spec["space"].get("factors", {})
    varied = [f"{name} {'/'.join(shown(value) for value in values)}" for name, values in factors.items()]
    fixed = {"optimizer": "own optimizer" if spec["optimizer"] == "own" else spec["optimizer"]}
    if not is_module:  # whose function may take no size
        fixed |= {
            "hidden_size": f"hidden {spec['model']['hidden_size']}",
            "batch_size": f"batch {spec['batch_size']}",
        }
    parts = [data, *(words for name, words in fixed.items() if name not in factors)]
    return ", ".join([*parts, f"{spec['steps']} steps a trial", *varied])


def progress(report: Report) -> str:
    """How many trials ended, and how."""
    ended = ", ".join(f"{count:,} {outcome}" for outcome, count in report.outcomes.items()) or "none has ended yet"
    return f"{sum(report.outcomes.values()):,} of {report.study.budget:,} trials: {ended}"


def setting(report: Report) -> str:
    """The setting that is recommended, or that there is none."""
    best = report.recommendation
    if best is None:
        return f"No setting can be recommended: no trial trained ({_why_not(report)})."
    with_threshold = "" if best.threshold is None else f" at {best.threshold:.3g}"
    factors = f", {best.factors}" if best.factors else ""
    return f"{best.cell.upper()}, {best.strategy}{with_threshold}, learning rate {best.learning_rate:.3g}{factors}"


def standing(best: Recommendation) -> str:
    """How much the recommendation can be trusted, and why."""
    if not best.firm:
        return "provisional: the best guess, not yet shown to be safe"
    if best.confirmed:
        return "firm: confirmed by runs that had no part in choosing it"
    return "firm: enough runs, well below the frontier"


def evidence(report: Report) -> list[str]:
    """What the recommendation rests on, and what speaks against it."""
    best = report.recommendation
    if best is None:
        return []
    lines = [_confirmed(best) if best.confirmed else _near(best)]
    if best.frontier is not None:
        margin = best.frontier / best.learning_rate
        low = "" if best.frontier_low is None else f" (at least {best.frontier_low:.3g})"
        lines.append(f"10% of runs diverge at learning rate {best.frontier:.3g}{low}: {margin:.2g} times as high.")
    return [*lines, *best.around, *best.cautions]


def _near(best: Recommendation) -> str:
    seeds = counted(best.seeds, "seed")
    loss, counts = f"Validation loss {best.validation_loss:.3f} in trial {best.number}", seeds
    if best.replicates > 1:
        loss = (
            f"Validation loss {best.validation_loss:.3f}, the mean of those of its {best.replicates} runs that trained"
        )
    if best.settings < best.runs:
        counts = f"{counted(best.settings, 'setting')}, {seeds}"
    return (
        f"{loss}; {best.diverged} of {counted(best.runs, 'run')} near it diverged ({counts}; "
        f"95% interval {best.rate_low:.0%} to {best.rate_high:.0%})."
    )


def _confirmed(best: Recommendation) -> str:
    return (
        f"Confirmed by {counted(best.runs, 'fresh run')} of it, none of which chose it: {best.diverged} diverged (95% "
        f"interval {best.rate_low:.0%} to {best.rate_high:.0%}); mean validation loss {best.validation_loss:.3f}."
    )


def _why_not(report: Report) -> str:
    diverged, stalled = report.outcomes.get("diverged", 0), report.outcomes.get("stalled", 0)
    failed = report.outcomes.get("failed", 0)
    if failed and not diverged and not stalled:
        return f"all {failed} failed: SELECT error FROM gradstudy_trial says why"
    if stalled:
        return f"{diverged} diverged, {stalled} stalled: train more steps"
    return f"all {diverged} diverged: search lower learning rates" if diverged else "nothing has ended yet"
