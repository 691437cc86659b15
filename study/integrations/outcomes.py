"""How the trials of a plain Optuna study ended: what Optuna keeps of them, judged by the divergence rule.

Optuna keeps the same row of a trial whose objective was NaN and of one that raised: a failed one without a value. What
its learning rate tells of the two is asked of all such trials together, see ``failures_are_divergences``.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from optuna.trial import FrozenTrial, TrialState

from gradstudy.study.divergence import DivergenceMonitor, DivergenceRule, Outcome
from gradstudy.study.integrations.reference import Losses, Reference

DIVERGES = ("diverg", "finite", "nan", "explo", "blow", "stab")
"""Words in the name of a constraint that is about divergence."""
ROUGH = DivergenceRule(version=1, half_life=1.0, blow_up=100.0, stalled_above=1.0, no_recovery_above=5.0)
"""By it a run is judged whose untrained loss is known roughly: a run that ends at five times of it has diverged, and
neither a collapse nor a run that learned nothing can be told."""
EXACT = DivergenceRule(half_life=1.0)
"""By it a run is judged whose untrained loss was given. What a program reports is an epoch or more, so the last of it
counts."""
FAR_ABOVE, SOME = 1000.0, 3
"""Times the loss of all runs of lower learning rates, at least so many, that one ends at which has diverged."""
SURE = 0.01
"""Probability below which failed trials do not have such high learning rates by chance."""


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a trial ended.

    Attributes:
        outcome: None where it still runs, or it failed for reasons that nothing tells.
        reason: of a divergence: those of ``gradstudy.study.divergence``, or ``constraint``, ``stand_in`` where the
            objective has the value that the program returns in such cases, and ``no_value`` where it has none.
        step: that was reported when it diverged.
        steps: how many steps the reports speak of; 0 without any.
        loss: at the end.
        is_untold: whether the program ended it, and nothing tells why.
    """

    outcome: Outcome | None
    reason: str | None = None
    step: int | None = None
    steps: int = 0
    loss: float = math.nan
    is_untold: bool = False


def judge(trial: FrozenTrial, losses: Losses, reference: Reference | None) -> Ended:
    """How a trial ended by what it left itself.

    Args:
        trial: of the study.
        losses: its objective and what it reported, as losses.
        reference: the loss of the untrained model, as far as it is known; None where nothing is.
    """
    steps, curve = losses.curve(trial)
    loss = losses.final(trial)
    ended = Ended(outcome=None, steps=steps[-1] + 1 if steps else 0, loss=loss)
    if trial.state is TrialState.RUNNING:
        return ended
    bad = next((place for place, value in enumerate(curve) if not math.isfinite(value)), None)
    if bad is not None:
        return replace(ended, outcome="diverged", reason="non_finite_loss", step=steps[bad], loss=math.nan)
    if trial.state is TrialState.COMPLETE and not math.isfinite(loss):
        return replace(ended, outcome="diverged", reason="non_finite_loss", loss=math.nan)
    if any(value > 0 and any(word in name.lower() for word in DIVERGES) for name, value in trial.constraints.items()):
        return replace(ended, outcome="diverged", reason="constraint")
    if losses.stand_in is not None and loss == losses.stand_in:
        return replace(ended, outcome="diverged", reason="stand_in", loss=math.nan)
    if reference is not None:
        ended = _judged(ended, trial, steps, curve, losses, reference)
    if ended.outcome is not None:
        return ended
    if trial.state is TrialState.COMPLETE:
        return replace(ended, outcome="trained")
    if trial.state is TrialState.PRUNED and curve:
        return replace(ended, outcome="pruned")
    return replace(ended, is_untold=True)


def _judged(
    ended: Ended, trial: FrozenTrial, steps: Sequence[int], curve: Sequence[float], losses: Losses, reference: Reference
) -> Ended:
    """By the divergence rule, where a run's reports are losses, or its untrained loss is known."""
    whole = trial.state is TrialState.COMPLETE
    if reference.is_exact:
        seen = list(curve) if curve and losses.reports_are_losses else [ended.loss] * whole
        monitor = DivergenceMonitor(reference.loss, EXACT, loss=losses.kind)
    elif losses.reports_are_losses and reference.loss > 0:
        seen, monitor = list(curve), DivergenceMonitor(reference.loss, ROUGH, loss="mse")
    else:
        return ended
    if not seen:
        return ended
    verdict = monitor.observe_all(seen, np.zeros(len(seen)))
    if verdict is not None:
        step = steps[int(verdict.step or 0)] if curve and losses.reports_are_losses else None
        return replace(ended, outcome="diverged", reason=verdict.reason, step=step)
    if not whole:
        return ended
    verdict = monitor.finish()
    if verdict.outcome == "stalled" and not reference.is_exact:
        return ended
    return replace(ended, outcome=verdict.outcome, reason=verdict.reason)


def with_far_ends(ended: Sequence[Ended], learning_rates: Sequence[float]) -> list[Ended]:
    """The same where runs that ended far above all of lower learning rates have diverged.

    A lower learning rate keeps a run nearer to the untrained loss, so what is far above some such runs is above that.

    Args:
        ended: the trials, of which only the objective at the end is known.
        learning_rates: of each.
    """
    found, lower = list(ended), list[float]()
    for place in np.argsort(learning_rates, kind="stable"):
        each = found[place]
        if each.outcome != "trained" or each.loss <= 0:
            continue
        if len(lower) >= SOME and each.loss > FAR_ABOVE * max(lower):
            found[place] = replace(each, outcome="diverged", reason="blow_up")
        else:
            lower.append(each.loss)
    return found


def failures_are_divergences(ended: Sequence[Ended], learning_rates: Sequence[float]) -> bool:
    """Whether trials that left nothing have higher learning rates than those that were kept, beyond chance.

    A machine that fails knows no learning rate. Source: Mann and Whitney 1947, one-sided.

    Args:
        ended: the trials that have ended.
        learning_rates: of each.
    """
    untold = [rate for each, rate in zip(ended, learning_rates, strict=True) if each.is_untold]
    kept = [
        rate
        for each, rate in zip(ended, learning_rates, strict=True)
        if each.outcome in ("trained", "stalled", "pruned")
    ]
    if not untold or not kept:
        return False
    from scipy.stats import mannwhitneyu

    return bool(mannwhitneyu(untold, kept, alternative="greater").pvalue < SURE)


def told(ended: Ended, *, diverged: bool) -> Ended:
    """The same with what is taken for the cause of a trial that left nothing."""
    if not ended.is_untold:
        return ended
    return replace(ended, outcome="diverged" if diverged else "failed", reason="no_value" if diverged else None)


def infeasible(trial: FrozenTrial) -> list[str]:
    """The constraints that a trial violates and that are not about divergence."""
    violated: dict[str, Any] = {str(name): value for name, value in trial.constraints.items() if value > 0}
    return [name for name in violated if not any(word in name.lower() for word in DIVERGES)]
