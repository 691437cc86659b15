"""The setting to use, and what that rests on."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from gradstudy.models.strategies import STRATEGIES
from gradstudy.study.answer.neighbours import neighbourhoods, neighbours_of
from gradstudy.study.frontier.table import ABOVE, BELOW, BRACKETED, TOO_FEW, frontier
from gradstudy.study.statistics.grouping import group_keys, is_varied, setting_of
from gradstudy.study.statistics.rates import AGGRESSIVE_CLIPPING, ALWAYS_CHANGING, wilson_interval
from gradstudy.study.wording import counted

ACCEPTABLE_UPPER_BOUND = 0.2
"""Of the divergence rate: what 16 runs without a divergence show."""
MARGIN = 2.0
"""How far below the frontier a learning rate must stay: another seed, or a longer run, moves the edge."""


@dataclass(frozen=True, kw_only=True)
class RecommendedSetting:
    """What to use.

    Attributes:
        number: of a trial that had this setting; None where only a confirmation ran it.
        cell: lstm or gru.
        strategy: clipping strategy.
        threshold: in the strategy's unit; None where it has none.
        learning_rate: of the optimizer.
        factors: what else the study varies, in words.
    """

    number: int | None
    cell: str
    strategy: str
    threshold: float | None
    learning_rate: float
    factors: str


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a recommendation rests on.

    Attributes:
        confirmed: whether these are fresh runs of this very setting, none of which had a part in choosing it.
        firm: whether the upper bound on divergence is acceptable and, where no fresh runs show it, the margin to the
            frontier is kept.
        validation_loss: of the setting's trial; of one with replicates, the mean of those that trained.
        replicates: how many runs this very setting had.
        runs: that are the evidence: fresh ones, or those of this cell and strategy within half a decade of learning
            rate and threshold.
        diverged: how many of them diverged.
        settings: how many different settings they had.
        seeds: how many different seeds they had.
        rate_low: lower end of the 95% interval of their divergence rate: Wilson's, for which a neighbouring setting
            counts once; of a confirmation, see ``gradstudy.study.answer.confidence_sequence``.
        rate_high: upper end.
        around: sentences on the learning rates on each side that fresh runs tried.
        cautions: sentences on what speaks against the setting.
    """

    confirmed: bool
    firm: bool
    validation_loss: float
    replicates: int
    runs: int
    diverged: int
    settings: int
    seeds: int
    rate_low: float
    rate_high: float
    around: tuple[str, ...] = ()
    cautions: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class FrontierAbove:
    """Where the setting's own cell, strategy and threshold begin to diverge.

    Attributes:
        learning_rate: at which 10% of runs do.
        low: lower end of its 95% interval; None where it was not bracketed.
    """

    learning_rate: float
    low: float | None


@dataclass(frozen=True, kw_only=True)
class Recommendation:
    """A setting and its evidence.

    Attributes:
        setting: what to use.
        evidence: why.
        frontier: how far the learning rate is from divergence; None where that was not bracketed.
        pytorch: the code to paste.
    """

    setting: RecommendedSetting
    evidence: Evidence
    frontier: FrontierAbove | None
    pytorch: str


def recommendation_of(
    row: "pd.Series[Any]", number: int | None, evidence: Evidence, frontier: float, frontier_low: float
) -> Recommendation:
    """The recommendation of one row with ``cell``, ``strategy``, ``threshold``, ``learning_rate``, maybe ``factors``.

    Args:
        row: with the setting.
        number: of a trial that had it, if any.
        evidence: that speaks for it.
        frontier: of its cell, strategy and threshold; NaN where it is not known.
        frontier_low: lower end of its interval; NaN where it is not known.
    """
    threshold, strategy = or_none(row["threshold"]), str(row["strategy"])
    pasted = None if threshold is None else three_digits(threshold)
    return Recommendation(
        setting=RecommendedSetting(
            number=number,
            cell=str(row["cell"]),
            strategy=strategy,
            threshold=threshold,
            learning_rate=float(row["learning_rate"]),
            factors=str(row.get("factors", "")),
        ),
        evidence=evidence,
        frontier=None if pd.isna(frontier) else FrontierAbove(learning_rate=frontier, low=or_none(frontier_low)),
        pytorch=STRATEGIES[strategy].pytorch(pasted),
    )


def recommend(trials: pd.DataFrame, frontiers: pd.DataFrame | None = None) -> Recommendation | None:
    """The trained setting with the best validation loss among those that are safe enough.

    Safe enough is a 95% upper bound on the divergence of its neighbours of at most 20%, at a learning rate that is at
    most half the frontier and below the lower end of the frontier's interval. Where no setting has that much evidence,
    it is the setting with the lowest validation loss to be expected, not ``firm``, and of those that keep the margin if
    there are any: with n runs in the neighbourhood, k of which diverged, the next diverges with probability
    p = (k + 1) / (n + 2) (Laplace's rule of succession) and ends at (1 - p) * loss + p * initial loss. So a better
    loss must make up for a neighbour that diverged, and for evidence that is thin.

    Where factors are varied, losses count as shares of the untrained model's: those of other data, or of another loss,
    have another unit.

    A setting with replicates is judged by the mean over them, in which a run that diverged counts as untrained.

    Args:
        trials: rows of ``trial_result``.
        frontiers: as ``frontier(trials)`` gives them, when they are known already.

    Returns:
        None when no trial trained.
    """
    candidates = neighbourhoods(trials).dropna(subset=["validation_loss"])
    if candidates.empty:
        return None
    frontiers = frontier(trials) if frontiers is None else frontiers
    keys = [*group_keys(candidates), "threshold_bin"]
    candidates = candidates.merge(frontiers[[*keys, "frontier", "frontier_low", "status"]], how="left", on=keys)
    counts = zip(candidates["neighbours_diverged"], candidates["neighbours"], strict=True)
    upper = np.array([wilson_interval(k, n)[1] for k, n in counts])
    margin_kept = _keeps_margin(candidates)
    firm = margin_kept & (upper <= ACCEPTABLE_UPPER_BOUND)
    eligible = next(tier for tier in (firm, margin_kept, np.ones_like(firm)) if tier.any())
    loss = candidates["loss"] if firm.any() else _expected_loss(candidates)
    if is_varied(candidates):
        loss = loss / candidates["initial_validation_loss"]
    position = int(np.where(eligible, loss.to_numpy(float), np.inf).argmin())
    return _evidence(trials, candidates.iloc[position], firm=bool(firm[position]), margin=bool(margin_kept[position]))


def _keeps_margin(candidates: pd.DataFrame) -> np.ndarray:
    """Whether each learning rate is well below its frontier; one that nothing brackets from above has no edge near."""
    known = candidates["status"] == BRACKETED
    learning_rate = candidates["learning_rate"]
    below = (learning_rate * MARGIN <= candidates["frontier"]) & ~(learning_rate > candidates["frontier_low"])
    inside = ~known & (candidates["status"] != BELOW)
    return (below.where(known, inside)).to_numpy(bool)


def _expected_loss(candidates: pd.DataFrame) -> "pd.Series[float]":
    rate = (candidates["neighbours_diverged"] + 1) / (candidates["neighbours"] + 2)
    return (1 - rate) * candidates["validation_loss"] + rate * candidates["initial_validation_loss"]


def _evidence(trials: pd.DataFrame, best: "pd.Series[Any]", *, firm: bool, margin: bool) -> Recommendation:
    neighbours = neighbours_of(trials, best)
    rate_low, rate_high = wilson_interval(float(best["neighbours_diverged"]), float(best["neighbours"]))
    evidence = Evidence(
        confirmed=False,
        firm=firm,
        validation_loss=float(best["validation_loss"]),
        replicates=int(best["runs"]),
        runs=len(neighbours),
        diverged=int((neighbours["outcome"] == "diverged").sum()),
        settings=int(setting_of(neighbours).nunique()),
        seeds=neighbours["seed"].nunique(),
        rate_low=rate_low,
        rate_high=rate_high,
        cautions=tuple(_cautions(best, rate_high, neighbours, margin=margin)),
    )
    return recommendation_of(best, int(best["number"]), evidence, best["frontier"], best["frontier_low"])


def three_digits(number: float) -> float:
    """A number as it is shown and pasted."""
    return float(f"{number:.3g}")


def _cautions(best: "pd.Series[Any]", rate_high: float, neighbours: pd.DataFrame, *, margin: bool) -> Iterator[str]:
    status, strategy = best["status"], best["strategy"]
    if rate_high > ACCEPTABLE_UPPER_BOUND:
        yield (
            f"The evidence is thin: {counted(len(neighbours), 'run')} near it cannot rule out a divergence rate of "
            f"up to {rate_high:.0%}; {ACCEPTABLE_UPPER_BOUND:.0%} would be acceptable."
        )
    if status == TOO_FEW:
        yield "There are too few runs of this cell and strategy to say where its frontier is."
    elif status == BELOW:
        yield "More than 10% of runs are expected to diverge even at the lowest learning rate that was tried."
    elif not margin:
        yield f"It is less than a factor of {MARGIN:g} below the frontier, or above the lower end of its interval."
    if status == ABOVE:
        yield "No learning rate that was tried crossed the frontier: a larger one may train faster."
    yield from clipping_cautions(strategy, neighbours)


def clipping_cautions(strategy: str, runs: pd.DataFrame) -> Iterator[str]:
    """What to say when most updates of the runs that are the evidence were clipped."""
    clipped = runs["clipped_fraction"].mean()
    if clipped > AGGRESSIVE_CLIPPING and strategy not in ALWAYS_CHANGING:
        yield (
            f"{clipped:.0%} of the updates near it are clipped; the Deep Learning Tuning Playbook calls more than 50% "
            "extremely aggressive and would lower the learning rate instead."
        )


def or_none(number: float) -> float | None:
    """A number, None where it is missing."""
    return None if pd.isna(number) else float(number)
