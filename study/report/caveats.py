"""What a study cannot tell, in sentences."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import pandas as pd

from gradstudy.models.strategies import STRATEGIES
from gradstudy.storage.studies import StudyRecord
from gradstudy.study.frontier.table import ABOVE, BELOW, BRACKETED, TOO_FEW
from gradstudy.study.horizon.answer import AtHorizon
from gradstudy.study.horizon.in_words import beyond
from gradstudy.study.spec.axis import held, read_axis
from gradstudy.study.spec.plain import PLAIN, UNKNOWN_SAMPLER, is_plain, is_recorded
from gradstudy.study.statistics.grouping import has_replicates, in_words, is_varied, setting_of
from gradstudy.study.statistics.rates import AGGRESSIVE_CLIPPING, judged, mostly_clipped
from gradstudy.study.wording import counted
from gradstudy.study.worth.usable_rates import TOLERANCE

ADAPTIVE_SAMPLERS = ("auto", "tpe", "frontier")
"""Samplers that choose settings by how earlier trials ended."""
FEW_RUNS = 10
DISTRUST = 0.5
"""Below this probability that what another study found tells of this one, it is said that it does not."""
NONE_EXCLUDED: Mapping[int, str] = MappingProxyType({})
BESIDE_HELD = 10.0
"""By how much a range reaches beyond a learning rate that was held, on both sides."""


def is_adaptive(study: StudyRecord) -> bool:
    """Whether the sampler chose settings by their results, so that rates over a range are not those of the range."""
    return study.spec.get("sampler") in ADAPTIVE_SAMPLERS


def caveats(
    study: StudyRecord,
    trials: pd.DataFrame,
    strategies: pd.DataFrame,
    frontiers: pd.DataFrame,
    confirms: str | None = None,
    causes: Sequence[str] = (),
    excluded: Mapping[int, str] = NONE_EXCLUDED,
) -> list[str]:
    """The sentences that a reader of the report must know, the most important first.

    Args:
        study: that is reported.
        trials: its rows of ``trial_result``.
        strategies: see ``Report``.
        frontiers: see ``Report``.
        confirms: the study that it confirms, if it is a confirmation.
        causes: what else than settings is at fault, see ``gradstudy.study.answer.causes``.
        excluded: why trials count nowhere, by number.
    """
    return [
        *causes,
        *(study.spec[PLAIN]["notes"] if is_plain(study.spec) else ()),
        *_of_excluded(excluded),
        *_of_evidence(study, trials, confirms, len(excluded), has_causes=bool(causes)),
        *_of_learning_rates(study, trials),
        *_of_factors(study, trials),
        *_of_like(study, frontiers),
        *_of_frontiers(frontiers),
        *_of_clipping(strategies, trials),
    ]


def of_length(study: StudyRecord, at_horizon: AtHorizon | None, *, has_answer: bool) -> Iterator[str]:
    """How long the runs are that all this is of, and what is not known of longer ones."""
    if is_plain(study.spec):
        if has_answer:
            yield (
                "All this is of runs as long as those of the program: with longer training another setting may be the "
                "best, often one with a lower learning rate."
            )
        return
    steps, horizon = study.spec["steps"], study.spec.get("horizon")
    if at_horizon is not None:
        yield (
            f"Rates, frontiers, tables of strategies and the map are of runs of {steps:,} steps; where runs diverge "
            "moved up or stayed in longer ones that were tried."
        )
        yield beyond(at_horizon)
    elif has_answer and horizon is not None:
        yield (
            f"All this is of runs of {steps:,} steps: of the horizon, {horizon:,} steps, nothing is known before "
            f"longer runs have ended; `gradstudy launch {study.name}` goes on with them."
        )
    elif has_answer:
        yield (
            f"All this is of runs of {steps:,} steps. With longer training another setting may be the best, "
            "often one with a lower learning rate; where runs diverge moved up or stayed in what was tried. "
            f"`gradstudy extend {study.name}` trains the best settings longer."
        )


def _of_factors(study: StudyRecord, trials: pd.DataFrame) -> Iterator[str]:
    if not is_varied(trials):
        return
    kept_apart = "Factors are varied: every rate, frontier and recommendation is of one choice of their values."
    if is_plain(study.spec):
        yield kept_apart
        return
    yield (
        f"{kept_apart} Losses of different values may have different units, so the recommended setting is the one that "
        "ends at the lowest share of its untrained loss."
    )


def _of_learning_rates(study: StudyRecord, trials: pd.DataFrame) -> Iterator[str]:
    rate = held(read_axis(study.spec["space"]["learning_rate"]))
    if rate is not None and is_plain(study.spec):
        yield f"Every run has the learning rate {rate:g}: where divergence begins is not known."
    elif rate is not None and len(judged(trials)):
        yield (
            f"Every run has the learning rate {rate:g}: where divergence begins, and whether another one is better, "
            f"is not known; a range such as --lr {rate / BESIDE_HELD:.3g}:{rate * BESIDE_HELD:.3g} would tell."
        )


def _of_excluded(excluded: Mapping[int, str]) -> Iterator[str]:
    """How many trials count nowhere, and why."""
    if not excluded:
        return
    by_reason: dict[str, list[int]] = {}
    for number, why in excluded.items():
        by_reason.setdefault(why, []).append(number)
    reasons = "; ".join(f"{', '.join(map(str, numbers))} ({why})" for why, numbers in by_reason.items())
    said = "is excluded and counts" if len(excluded) == 1 else "are excluded and count"
    yield f"{counted(len(excluded), 'trial')} {said} nowhere: {reasons}."


def _of_evidence(
    study: StudyRecord, trials: pd.DataFrame, confirms: str | None, excluded: int, *, has_causes: bool
) -> Iterator[str]:
    runs, outcomes = len(judged(trials)), trials["outcome"].value_counts()
    diverged, failed = int(outcomes.get("diverged", 0)), int(outcomes.get("failed", 0))
    if runs == 0:
        if failed == 0:
            yield "No trial has ended: nothing can be said yet."
        return
    if confirms is not None:
        yield (
            f"These are fresh runs of settings that study {confirms!r} chose, not a search: rates, frontiers and "
            "losses are of those settings alone."
        )
    if runs < FEW_RUNS:
        yield f"{counted(runs, 'run')} cannot tell a safe setting from a lucky one."
    pruned = int(outcomes.get("pruned", 0))
    left_over = study.budget - runs - failed - pruned - excluded
    if left_over > 0:
        left = counted(left_over, "trial")
        yield f"{left} of {study.budget:,} have not ended: all numbers may move."
    if has_replicates(trials) and study.spec.get("sampler") != "grid":
        settings = int(setting_of(judged(trials)).nunique())
        yield (
            f"The {counted(runs, 'run')} are of {counted(settings, 'setting')}: intervals count a setting once, but "
            "those of frontiers and survival curves take its runs as independent; the latter are too narrow, the "
            "former where edges are sharp and move with the threshold."
        )
    width = study.spec.get("frontier_width")
    if width is not None and confirms is None and study.budget < study.spec["trials"]:
        yield (
            f"The study ended after {study.budget:,} of at most {study.spec['trials']:,} trials: the 95% interval of "
            f"every frontier was within {width:g} decades."
        )
    yield from _of_the_rule(study)
    yield from _of_the_sampler(study)
    if diverged == 0:
        yield "No run diverged: how far a setting is from divergence is not known; search higher learning rates."
    elif diverged == runs and not has_causes:
        yield "Every run diverged: nothing here is safe; search lower learning rates, or scale the data."
    if pruned:
        yield (
            f"{counted(pruned, 'run')} ended early because others were ahead (pruned): whether they would have "
            "diverged is not known, and they count neither way."
        )
    failed -= int((trials["reason"] == "untrained_not_finite").sum())
    if failed and is_recorded(study.spec):
        yield f"{counted(failed, 'run')} failed by an error, or as the program was ended: they count neither way."
    elif failed and not is_plain(study.spec):
        yield f"{counted(failed, 'trial')} failed for reasons of the machine; they count neither way."
    yield from _of_skipped(trials)


def _of_the_rule(study: StudyRecord) -> Iterator[str]:
    """Where the definition of divergence is another one than today's."""
    if is_plain(study.spec):
        return
    rule = study.spec.get("divergence", {})
    room = rule.get("no_recovery_above", 1.0)
    if room != 1.0:
        yield (
            f"A run that ends above its untrained loss counts as diverged only beyond {room:g} times that loss: the "
            "data are noisy, and runs that learned nothing end that high by chance."
        )
    elif rule.get("version", 1) == 1:
        yield (
            "The study was launched with the first definition of divergence, which knew no noise: a run that did "
            "nothing and ended above its untrained loss by chance counts as diverged."
        )


def _of_the_sampler(study: StudyRecord) -> Iterator[str]:
    if is_plain(study.spec) and study.spec["sampler"] == UNKNOWN_SAMPLER:
        yield (
            "Which sampler chose the settings is not kept with a study. Optuna's own choice, TPE, tries more where "
            "runs ended well: rates over a range, survival curves and importances are biased then; frontiers are less "
            "so."
        )
    if is_adaptive(study):
        yield (
            f"The sampler '{study.spec['sampler']}' chose settings by their results: divergence rates over a range, "
            "survival curves and importances are biased towards where it searched; frontiers are less so."
        )


def _of_skipped(trials: pd.DataFrame) -> Iterator[str]:
    """In how many steps the guard, or a strategy that does so, left everything as it was."""
    by_rule = trials["strategy"].isin([name for name, strategy in STRATEGIES.items() if strategy.skips])
    skipped = trials["skipped_steps"].where(~by_rule).fillna(0)
    if (skipped > 0).any():
        yield (
            f"The guard skipped steps with a non-finite loss or gradient in {(skipped > 0).mean():.0%} of the runs, "
            f"{int(skipped.sum()):,} steps in all: without it those runs would have diverged."
        )
    for strategy, runs in judged(trials[by_rule]).groupby("strategy", sort=False):
        of_runs = (runs["clipped_fraction"] * runs["steps"]).round().fillna(0)
        yield (
            f"{strategy} skipped {int(of_runs.sum()):,} of {counted(int(runs['steps'].sum()), 'step')}, in "
            f"{int((of_runs > 0).sum()):,} of its {counted(len(runs), 'run')}: a skipped step changes neither the "
            "parameters nor the optimizer."
        )


def _of_like(study: StudyRecord, frontiers: pd.DataFrame) -> Iterator[str]:
    if "trust" in frontiers and len(frontiers):
        trust, other = frontiers["trust"].mean(), study.spec["like"]["study"]
        if trust < DISTRUST:
            yield f"What study {other!r} found does not fit these runs: the frontiers rest on them alone."
        else:
            yield (
                f"Frontiers and their intervals rest on what study {other!r} had found, too, which fits these runs "
                f"({min(trust, 0.99):.0%} sure); the answer, its risk and all else rest on this study's own runs alone."
            )


def _of_frontiers(frontiers: pd.DataFrame) -> Iterator[str]:
    status = frontiers["status"].value_counts()
    total = len(frontiers)
    if missing := total - status.get(BRACKETED, 0):
        parts = {
            TOO_FEW: "with too few runs",
            ABOVE: "above the learning rates tried",
            BELOW: "below them" if status.get(ABOVE) else "below the learning rates tried",
        }
        shown = [f"{status[kind]} {words}" for kind, words in parts.items() if status.get(kind)]
        are = "is" if missing == 1 else "are"
        one = f"The frontier, {next(words for kind, words in parts.items() if status.get(kind))}, is not bracketed."
        many = f"{missing} of {total} frontiers {are} not bracketed: {', '.join(shown)}."
        yield one if total == 1 else many


def _named(row: dict[Hashable, Any]) -> str:
    """Cell and strategy, with the factors where any are varied."""
    factors = row.get("factors")
    return f"{row['cell']} {row['strategy']}" + (f" ({factors})" if factors else "")


def _of_clipping(strategies: pd.DataFrame, trials: pd.DataFrame) -> Iterator[str]:
    """Which strategies clip most updates for nothing: the best one of the cell that clips few is about as good."""
    if strategies.empty:
        return
    clips = mostly_clipped(strategies)
    few = strategies[~clips & (strategies["clipped_fraction"] <= AGGRESSIVE_CLIPPING)]
    keys = [key for key in ("cell", "factors") if key in strategies]
    without = few.groupby(keys)["expected_loss"].min().rename("without")
    rows = strategies[clips].merge(without, how="left", on=keys)
    untrained = in_words(trials).groupby(keys)["initial_validation_loss"].mean().rename("untrained")
    rows = rows.merge(untrained, how="left", on=keys)
    rows = rows[(rows["without"] - rows["expected_loss"]).abs() <= TOLERANCE * rows["untrained"].abs()]
    if len(rows):
        names = ", ".join(dict.fromkeys(map(_named, rows.to_dict("records"))))
        yield (
            f"More than half of the updates were clipped with {names}, and a strategy that clips fewer is as good: the "
            "Deep Learning Tuning Playbook calls that extremely aggressive and lowers the learning rate instead."
        )
