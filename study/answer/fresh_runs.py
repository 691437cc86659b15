"""The setting to use when fresh runs have confirmed some: the recommendation rests on them alone."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from gradstudy.storage.bins import half_decade
from gradstudy.study.answer.recommendation import (
    ACCEPTABLE_UPPER_BOUND,
    Evidence,
    Recommendation,
    clipping_cautions,
    or_none,
    recommendation_of,
)
from gradstudy.study.statistics.grouping import GROUP, SETTING, in_words, is_varied
from gradstudy.study.statistics.rates import judged
from gradstudy.study.wording import counted


def recommend_confirmed(
    table: pd.DataFrame, fresh: pd.DataFrame, frontiers: pd.DataFrame, initial_loss: float
) -> Recommendation | None:
    """The confirmed setting with the best loss among those whose upper bound on divergence is acceptable.

    The loss is the mean over the fresh runs, of which a diverged one counts as untrained. Where no upper bound is
    acceptable, it is the setting with the lowest loss to be expected, not ``firm``, see ``recommend``. The intervals
    hold for all settings together, so choosing by them does not make them wrong.

    Args:
        table: see ``confirmation_table``.
        fresh: rows of ``trial_result`` of the confirmation.
        frontiers: as ``frontier`` gives them for the study that chose the settings.
        initial_loss: validation loss of an untrained model.

    Returns:
        None when no fresh run trained.
    """
    trained = table.dropna(subset=["validation_loss"])
    if trained.empty:
        return None
    firm = (trained["rate_high"] <= ACCEPTABLE_UPPER_BOUND).to_numpy()
    rate = (trained["diverged"] + 1) / (trained["runs"] + 2)
    untrained: float | np.ndarray = initial_loss
    if is_varied(trained):  # which is another one for each value of the factors
        means = in_words(fresh).groupby("factors")["initial_validation_loss"].mean()
        untrained = means[trained["factors"]].to_numpy()
    expected = (1 - rate) * trained["validation_loss"] + rate * untrained
    loss = np.where(firm, trained["loss"], np.inf) if firm.any() else expected.to_numpy(float)
    if is_varied(trained):  # losses of other data have another unit
        loss = loss / untrained
    position = int(np.argmin(loss))
    best = trained.iloc[position]
    keys = [*SETTING, "factors"] if is_varied(trained) else SETTING
    words = in_words(judged(fresh))
    runs = words.merge(best[keys].to_frame().T.astype(words[keys].dtypes), on=keys)
    number = int(best["number"]) if best["multiple"] == 1 and pd.notna(best["number"]) else None
    evidence = Evidence(
        confirmed=True,
        firm=bool(firm[position]),
        validation_loss=float(best["validation_loss"]),
        replicates=int(best["runs"]),
        runs=int(best["runs"]),
        diverged=int(best["diverged"]),
        settings=1,
        seeds=int(runs["seed"].nunique()),
        rate_low=float(best["rate_low"]),
        rate_high=float(best["rate_high"]),
        around=tuple(_around(table, best)),
        cautions=tuple(_cautions(best, runs)),
    )
    return recommendation_of(best, number, evidence, *_frontier_of(best, frontiers))


def _frontier_of(best: "pd.Series[Any]", frontiers: pd.DataFrame) -> tuple[float, float]:
    """The frontier of the setting's half-decade of threshold with the lower end of its interval."""
    lower = half_decade(or_none(best["threshold"]))
    same_bin = frontiers["threshold_bin"].isna() if lower is None else np.isclose(frontiers["threshold_bin"], lower)
    rows = frontiers[_same_group(frontiers, best) & same_bin]
    return (np.nan, np.nan) if rows.empty else (rows["frontier"].iloc[0], rows["frontier_low"].iloc[0])


def _same_group(table: pd.DataFrame, best: "pd.Series[Any]") -> "pd.Series[bool]":
    """Which rows are of the setting's cell, strategy and factors."""
    keys = [key for key in (*GROUP, "factors") if key in table and key in best]
    return table[keys].eq(best[keys]).all(axis=1)


def _around(table: pd.DataFrame, best: "pd.Series[Any]") -> Iterator[str]:
    """How the other learning rates of the same cell, strategy and threshold fared, the lowest first."""
    same = _same_group(table, best)
    same &= table["threshold"].eq(best["threshold"]) | (table["threshold"].isna() & pd.isna(best["threshold"]))
    others = table[same & (table["learning_rate"] != best["learning_rate"]) & (table["runs"] > 0)]
    for row in others.sort_values("learning_rate").to_dict("records"):
        loss = "" if pd.isna(row["validation_loss"]) else f", mean validation loss {row['validation_loss']:.3f}"
        yield (
            f"At learning rate {row['learning_rate']:.3g}, {row['diverged']} of {counted(row['runs'], 'fresh run')} "
            f"diverged ({row['rate_low']:.0%} to {row['rate_high']:.0%}){loss}."
        )


def _cautions(best: "pd.Series[Any]", runs: pd.DataFrame) -> Iterator[str]:
    if best["rate_high"] > ACCEPTABLE_UPPER_BOUND:
        yield (
            f"The fresh runs cannot rule out a divergence rate of up to {best['rate_high']:.0%}; "
            f"{ACCEPTABLE_UPPER_BOUND:.0%} would be acceptable."
        )
    if best["multiple"] > 1:
        yield "It is the highest learning rate that was confirmed: how far it is from the edge is not."
    yield from clipping_cautions(str(best["strategy"]), runs)
