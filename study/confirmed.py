"""The setting to use when fresh runs have confirmed some: the recommendation rests on them alone."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from gradstudy.storage.bins import half_decade
from gradstudy.study.recommendation import (
    ACCEPTABLE_UPPER_BOUND,
    Recommendation,
    clipping_cautions,
    or_none,
    pasted,
)
from gradstudy.study.settings import SETTING
from gradstudy.study.statistics import judged
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
    expected = (1 - rate) * trained["validation_loss"] + rate * initial_loss
    loss = np.where(firm, trained["loss"], np.inf) if firm.any() else expected.to_numpy(float)
    position = int(np.argmin(loss))
    best = trained.iloc[position]
    threshold, strategy = or_none(best["threshold"]), str(best["strategy"])
    edge = _frontier_of(best, frontiers)
    runs = judged(fresh).merge(best[SETTING].to_frame().T.astype(fresh[SETTING].dtypes), on=SETTING)
    return Recommendation(
        number=int(best["number"]) if best["multiple"] == 1 and pd.notna(best["number"]) else None,
        cell=str(best["cell"]),
        strategy=strategy,
        threshold=threshold,
        learning_rate=float(best["learning_rate"]),
        validation_loss=float(best["validation_loss"]),
        replicates=int(best["runs"]),
        confirmed=True,
        runs=int(best["runs"]),
        diverged=int(best["diverged"]),
        settings=1,
        seeds=int(runs["seed"].nunique()),
        rate_low=float(best["rate_low"]),
        rate_high=float(best["rate_high"]),
        frontier=edge[0],
        frontier_low=edge[1],
        firm=bool(firm[position]),
        around=tuple(_around(table, best)),
        cautions=tuple(_cautions(best, runs)),
        pytorch=pasted(strategy, threshold),
    )


def _frontier_of(best: "pd.Series[Any]", frontiers: pd.DataFrame) -> tuple[float | None, float | None]:
    """The frontier of the setting's half-decade of threshold with the lower end of its interval."""
    lower = half_decade(or_none(best["threshold"]))
    same_bin = frontiers["threshold_bin"].isna() if lower is None else np.isclose(frontiers["threshold_bin"], lower)
    rows = frontiers[(frontiers["cell"] == best["cell"]) & (frontiers["strategy"] == best["strategy"]) & same_bin]
    return (None, None) if rows.empty else (or_none(rows["frontier"].iloc[0]), or_none(rows["frontier_low"].iloc[0]))


def _around(table: pd.DataFrame, best: "pd.Series[Any]") -> Iterator[str]:
    """How the other learning rates of the same cell, strategy and threshold fared, the lowest first."""
    same = table[["cell", "strategy"]].eq(best[["cell", "strategy"]]).all(axis=1)
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
