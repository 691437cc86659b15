"""The setting to use, and what that rests on."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import betaincinv, ndtri

from gradstudy.storage.bins import half_decade
from gradstudy.study.answer.appraisal import Appraisal
from gradstudy.study.answer.choice import Choice, choose
from gradstudy.study.answer.code_to_paste import code_in_your_program, code_to_paste
from gradstudy.study.answer.confidence_sequence import anytime_interval
from gradstudy.study.answer.evidence import ACCEPTABLE_UPPER_BOUND, Evidence, FreshRuns, RecommendedSetting, Rival
from gradstudy.study.frontier.table import ABOVE, BELOW, TOO_FEW
from gradstudy.study.spec.axis import listed, read_axis
from gradstudy.study.spec.plain import is_plain
from gradstudy.study.statistics.grouping import GROUP
from gradstudy.study.statistics.rates import CONFIDENCE
from gradstudy.study.wording import counted, three_digits
from gradstudy.study.worth.proof import PROOF_RUNS
from gradstudy.study.worth.worth import CONFIDENT, Worth

NEARER = 0.5
"""Factors of two within which a learning rate is not another one."""


@dataclass(frozen=True, kw_only=True)
class FrontierAbove:
    """Where the setting's own cell, strategy and threshold begin to diverge.

    Attributes:
        learning_rate: at which 10% of runs do; None where no learning rate tried is as high.
        low: lower end of its 95% interval; None where it was not bracketed.
    """

    learning_rate: float | None
    low: float | None


@dataclass(frozen=True, kw_only=True)
class Recommendation:
    """A setting and its evidence.

    Attributes:
        setting: what to use.
        evidence: why.
        frontier: how far the learning rate is from divergence; None where nothing is known of it.
        pytorch: the code to paste.
    """

    setting: RecommendedSetting
    evidence: Evidence
    frontier: FrontierAbove | None
    pytorch: str


def recommend(
    appraisal: Appraisal, frontiers: pd.DataFrame, spec: Mapping[str, Any] | None = None
) -> Recommendation | None:
    """The setting to use, see ``choose``; None where no run trained.

    Args:
        appraisal: of the runs.
        frontiers: as ``frontier`` gives them.
        spec: of the study, as JSON.
    """
    worth, settings = appraisal.worth, appraisal.settings
    # No fresh run will settle how safe a setting of somebody else's study is.
    choice = None if worth is None else choose(worth, settings, only_safe=not is_plain(spec or {}))
    if worth is None or choice is None:
        return None
    best = _setting(settings.iloc[choice.best])
    threshold, learning_rate = written(best.strategy, best.threshold, best.learning_rate, (spec or {}).get("space", {}))
    row = _frontier_row(settings.iloc[choice.best], frontiers)
    return Recommendation(
        setting=best,
        evidence=_evidence(appraisal, worth, choice, row, spec or {}),
        frontier=None if row is None else FrontierAbove(
            learning_rate=or_none(row["frontier"]), low=or_none(row["frontier_low"])
        ),
        pytorch=code_in_your_program(best.strategy, threshold, learning_rate)
        if is_plain(spec or {})
        else code_to_paste(
            best.strategy, threshold, learning_rate,
            {**(spec or {}), **(settings["values"].iloc[choice.best] or {})},
        ),
    )  # fmt: skip


def written(
    strategy: str, threshold: float | None, learning_rate: float, space: Mapping[str, Any]
) -> tuple[float | None, float]:
    """Threshold and learning rate as they are written: as given where the space, as JSON, has values, else rounded."""
    thresholds = space.get("thresholds", {}).get(strategy)
    if threshold is not None and not _has_values(thresholds):
        threshold = three_digits(threshold)
    return threshold, learning_rate if _has_values(space.get("learning_rate")) else three_digits(learning_rate)


def _has_values(axis: Any) -> bool:
    return axis is not None and listed(read_axis(axis)) is not None


def _setting(row: "pd.Series[Any]") -> RecommendedSetting:
    number = int(row["number"])
    return RecommendedSetting(
        number=number if number >= 0 else None,
        cell=str(row["cell"]),
        strategy=str(row["strategy"]),
        threshold=or_none(row["threshold"]),
        learning_rate=float(row["learning_rate"]),
        factors=", ".join(filter(None, (row["factors"], row["in_ranges"]))),
    )


def _evidence(
    appraisal: Appraisal, worth: Worth, choice: Choice, frontier: "pd.Series[Any] | None", spec: Mapping[str, Any]
) -> Evidence:
    best = choice.best
    expected, sd = float(worth.expected[best]), float(worth.sd[best])
    away = float(ndtri((1 + CONFIDENCE) / 2)) * sd
    tails = np.array([1 - CONFIDENCE, 1 + CONFIDENCE]) / 2
    risk_low, risk_high = betaincinv(worth.chances.lost[best], worth.chances.kept[best], tails)
    rates = appraisal.usable_rates(best)
    steps = spec.get("steps")
    fresh = _fresh(appraisal, best)
    measured = appraisal.observation.metrics(int(appraisal.settings.index[best]), fresh=fresh is not None)
    evidence = Evidence(
        steps=None if steps is None else int(steps),
        loss=appraisal.loss(best, expected),
        loss_low=appraisal.loss(best, expected - away),
        loss_high=appraisal.loss(best, expected + away),
        risk=float(worth.chances.mean[best]),
        risk_low=float(risk_low),
        risk_high=float(risk_high),
        safe=float(worth.safe[best]),
        fresh=fresh,
        metrics=tuple((name, mean, runs) for name, (mean, runs) in measured.items()),
        beside=tuple(_beside(appraisal, best)),
        usable_low=10.0**rates.low,
        usable_high=10.0**rates.high,
        rival=_rival(appraisal, worth, choice),
        untried_below=10.0**rates.low if rates.is_open_below else None,
        untried_above=10.0**rates.high if rates.is_open_above else None,
    )
    one_rate = len(np.unique(appraisal.observed.settings.learning_rates)) == 1
    plain = is_plain(spec)
    return replace(evidence, cautions=tuple(_cautions(evidence, frontier, one_rate=one_rate, plain=plain)))


def _rival(appraisal: Appraisal, worth: Worth, choice: Choice) -> Rival | None:
    place = choice.runner_up
    if place is None:
        return None
    return Rival(
        setting=_setting(appraisal.settings.iloc[place]),
        probability=choice.probability,
        loss=appraisal.loss(place, float(worth.expected[place])),
    )


def _fresh(appraisal: Appraisal, place: int) -> FreshRuns | None:
    """The fresh runs of a setting; None without any."""
    settings = appraisal.settings
    runs = appraisal.observation.fresh_runs(int(settings.index[place]))
    if runs.empty:
        return None
    diverged = int(runs["lost"].sum())
    low, high = anytime_interval(diverged, len(runs))
    losses = np.minimum(runs["loss"], runs["initial_validation_loss"])
    return FreshRuns(
        runs=len(runs),
        diverged=diverged,
        rate_low=low,
        rate_high=high,
        loss=float(losses.mean()),
        spread=float(losses.std()),
        learning_rate=float(settings["learning_rate"].iloc[place]),
    )


def _beside(appraisal: Appraisal, best: int) -> Iterator[FreshRuns]:
    """Fresh runs at other learning rates of what is the best setting otherwise, the lowest first."""
    settings, others = appraisal.settings, (*GROUP, "factors", "in_ranges", "threshold")
    for place in np.argsort(settings["learning_rate"].to_numpy()):
        same = all(_equal(settings[key].iloc[place], settings[key].iloc[best]) for key in others)
        away = abs(np.log2(settings["learning_rate"].iloc[place] / settings["learning_rate"].iloc[best]))
        if same and away > NEARER and (fresh := _fresh(appraisal, int(place))) is not None:
            yield fresh


def _equal(left: Any, right: Any) -> bool:
    return bool(left == right) or bool(pd.isna(left) and pd.isna(right))


def _frontier_row(best: "pd.Series[Any]", frontiers: pd.DataFrame) -> "pd.Series[Any] | None":
    """The frontier of the setting's half-decade of threshold."""
    lower = half_decade(or_none(best["threshold"]))
    same = frontiers["threshold_bin"].isna() if lower is None else np.isclose(frontiers["threshold_bin"], lower)
    for key in (*GROUP, *(["factors"] if "factors" in frontiers else [])):
        same &= frontiers[key] == best[key]
    rows = frontiers[same]
    return None if rows.empty else rows.iloc[0]


def _cautions(evidence: Evidence, frontier: "pd.Series[Any] | None", *, one_rate: bool, plain: bool) -> Iterator[str]:
    fresh = evidence.fresh
    if evidence.safe < CONFIDENT and plain:
        yield (
            f"That it diverges in at most 10% of runs has a probability of {evidence.safe:.0%}; {CONFIDENT:.0%} would "
            f"be acceptable. {PROOF_RUNS} runs of it with other seeds would tell, and a lower learning rate is safer."
        )
    elif evidence.safe < CONFIDENT:
        yield (
            f"No setting is known to diverge in at most 10% of runs: of this one that is so with a probability of "
            f"{evidence.safe:.0%}; {CONFIDENT:.0%} would be acceptable."
        )
    elif fresh is not None and not evidence.confirmed:
        yield (
            f"The fresh runs alone cannot rule out a divergence rate of up to {fresh.rate_high:.0%}; "
            f"{ACCEPTABLE_UPPER_BOUND:.0%} would be acceptable."
        )
    for end, side in ((evidence.untried_below, "below"), (evidence.untried_above, "above")):
        if end is not None:
            yield f"Learning rates {side} {end:.3g} were not tried with this cell and strategy, and may be better."
    if one_rate:  # nobody asked for a frontier
        return
    if frontier is None or frontier["status"] == TOO_FEW:
        yield "There are too few runs of this cell and strategy to say where its frontier is."
    elif frontier["status"] == BELOW:
        yield "More than 10% of runs are expected to diverge even at the lowest learning rate that was tried."
    elif frontier["status"] == ABOVE:
        yield (
            f"No run above it diverged: {counted(int(frontier['runs']), 'run')} of this cell, strategy and "
            "half-decade of threshold only say that its frontier is higher than what was tried."
        )


def or_none(number: float) -> float | None:
    """A number, None where it is missing."""
    return None if pd.isna(number) else float(number)
