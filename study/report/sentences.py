"""The answer of a report in words, the same in every form."""

from gradstudy.models.tasks.module_task import is_module_task
from gradstudy.study.answer.recommendation import Evidence, Recommendation
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
    if report.recommendation is None:
        return f"No setting can be recommended: no trial trained ({_why_not(report)})."
    best = report.recommendation.setting
    with_threshold = "" if best.threshold is None else f" at {best.threshold:.3g}"
    factors = f", {best.factors}" if best.factors else ""
    return f"{best.cell.upper()}, {best.strategy}{with_threshold}, learning rate {best.learning_rate:.3g}{factors}"


def standing(best: Recommendation) -> str:
    """How much the recommendation can be trusted, and why."""
    if not best.evidence.firm:
        return "provisional: the best guess, not yet shown to be safe"
    if best.evidence.confirmed:
        return "firm: confirmed by runs that had no part in choosing it"
    return "firm: enough runs, well below the frontier"


def evidence(report: Report) -> list[str]:
    """What the recommendation rests on, and what speaks against it."""
    best = report.recommendation
    if best is None:
        return []
    lines = [_confirmed(best.evidence) if best.evidence.confirmed else _near(best)]
    if best.frontier is not None:
        frontier, margin = best.frontier, best.frontier.learning_rate / best.setting.learning_rate
        low = "" if frontier.low is None else f" (at least {frontier.low:.3g})"
        edge = f"10% of runs diverge at learning rate {frontier.learning_rate:.3g}{low}"
        lines.append(f"{edge}: {margin:.2g} times as high.")
    return [*lines, *best.evidence.around, *best.evidence.cautions]


def _near(best: Recommendation) -> str:
    found = best.evidence
    seeds = counted(found.seeds, "seed")
    loss, counts = f"Validation loss {found.validation_loss:.3f} in trial {best.setting.number}", seeds
    if found.replicates > 1:
        mean = f"the mean of those of its {found.replicates} runs that trained"
        loss = f"Validation loss {found.validation_loss:.3f}, {mean}"
    if found.settings < found.runs:
        counts = f"{counted(found.settings, 'setting')}, {seeds}"
    return (
        f"{loss}; {found.diverged} of {counted(found.runs, 'run')} near it diverged ({counts}; "
        f"95% interval {found.rate_low:.0%} to {found.rate_high:.0%})."
    )


def _confirmed(found: Evidence) -> str:
    runs, loss = counted(found.runs, "fresh run"), f"{found.validation_loss:.3f}"
    return (
        f"Confirmed by {runs} of it, none of which chose it: {found.diverged} diverged (95% interval "
        f"{found.rate_low:.0%} to {found.rate_high:.0%}); mean validation loss {loss}."
    )


def _why_not(report: Report) -> str:
    diverged, stalled = report.outcomes.get("diverged", 0), report.outcomes.get("stalled", 0)
    failed = report.outcomes.get("failed", 0)
    if failed and not diverged and not stalled:
        return f"all {failed} failed: SELECT error FROM gradstudy_trial says why"
    if stalled:
        return f"{diverged} diverged, {stalled} stalled: train more steps"
    return f"all {diverged} diverged: search lower learning rates" if diverged else "nothing has ended yet"
