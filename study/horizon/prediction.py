"""What settings do at a horizon: measured where there are runs of that length, and predicted where there are none."""

import numpy as np
import pandas as pd
from scipy.special import betaincinv, ndtri

from gradstudy.study.errors import BeyondHorizonError
from gradstudy.study.frontier.likelihood import ACCEPTED_RISK, Floats
from gradstudy.study.frontier.places import Ints
from gradstudy.study.horizon.beliefs import Beliefs
from gradstudy.study.horizon.causes import CAUSES
from gradstudy.study.horizon.loss_curves import LossCurves
from gradstudy.study.horizon.risk.late_risk import LateRisk, interval
from gradstudy.study.horizon.runs_by_length import RunsByLength, runs_by_length
from gradstudy.study.spec.rungs import BEYOND
from gradstudy.study.worth.risk import Chances
from gradstudy.study.worth.worth import CONFIDENT, PENALTY

WITHIN = 0.9
"""Probability of the intervals."""
BEST_OF_SHORT = 12
"""Settings with short runs only that are predicted, too."""
COLUMNS = [
    "measured", "runs", "diverged", "loss", "loss_low", "loss_high", "risk", "risk_low", "risk_high", *CAUSES
]  # fmt: skip
DRAWS = 2000
BELIEFS = Beliefs()
_NODES = (np.arange(61) + 0.5) / 61


def predict(runs: pd.DataFrame, horizon: int, beliefs: Beliefs = BELIEFS) -> pd.DataFrame:
    """What settings do at a horizon.

    Args:
        runs: one row for each run, of any length: ``SETTING`` columns, ``factors`` in words, ``steps`` that it was to
            make, ``seed``, ``outcome``, ``reason``, ``objective`` (the validation loss; of a diverged run the untrained
            one), ``untrained`` (loss of the untrained model), ``diverged_at_step``.
        horizon: steps.
        beliefs: before any run was seen.

    Returns:
        A row for each setting that has a run beyond the shortest length, or is among the best of the short ones, the
        best first: ``SETTING`` and ``factors``, ``measured`` (steps of its longest runs), ``runs`` and ``diverged`` of
        that length; ``loss`` with ``loss_low`` and ``loss_high``, J of a run of ``horizon`` steps with its 90%
        interval; ``risk`` with ``risk_low`` and ``risk_high``, the same of P(diverged), and of each of ``CAUSES`` what
        it has of ``risk``, which is their sum. The best one has the lowest J among those with the longest runs of all
        whose risk is acceptable with 80% probability. Where ``measured`` equals the horizon, this is what was measured
        with its uncertainty. Empty where no run was kept.

    Raises:
        BeyondHorizonError: the horizon is beyond 16 times the longest run.
    """
    if len(runs) and horizon > BEYOND * int(runs["steps"].max()):
        raise BeyondHorizonError(
            f"nothing is known beyond {BEYOND} times the longest run, which has {int(runs['steps'].max()):,} steps: "
            f"the horizon must be within that, but got {horizon:,}"
        )
    given = runs_by_length(_told(runs, horizon))
    if given.diverged.all():
        return pd.DataFrame(columns=[*given.table.columns, *COLUMNS])
    risk = LateRisk.of(given, beliefs.risk)
    curves = LossCurves(given, beliefs.curves)
    places = _asked(given)
    length = given.units_to(horizon)
    causes = risk.competing(places, length)
    chances = causes.chances
    mean, sd = curves.predict(places, length)
    expected, low, high = _worth(chances, curves, mean, sd, curves.noise(places, length))
    table = given.table.iloc[places].reset_index(drop=True)
    at_longest = given.steps == given.longest[given.setting]
    counted = {
        "runs": np.bincount(given.setting[at_longest], minlength=len(given.table)),
        "diverged": np.bincount(given.setting[at_longest & given.diverged], minlength=len(given.table)),
    }
    table["measured"] = given.longest[places]
    table["runs"], table["diverged"] = counted["runs"][places], counted["diverged"][places]
    unit, untrained = given.unit[places], given.untrained[places]
    table["loss"], table["loss_low"], table["loss_high"] = (
        untrained + (share - 1) * unit for share in (expected, low, high)
    )
    table["risk"], (table["risk_low"], table["risk_high"]) = chances.mean, interval(chances, WITHIN)
    table[list(CAUSES)] = causes.means
    return table.iloc[_order(expected, chances.below(ACCEPTED_RISK), given.longest[places])].reset_index(drop=True)


def possible_worths(runs: pd.DataFrame, settings: pd.DataFrame, horizon: int, beliefs: Beliefs = BELIEFS) -> Floats:
    """J of settings at a horizon as it may be, drawn for all of them together: those that are alike err alike.

    Args:
        runs: see ``predict``, of which one was kept at least.
        settings: that are asked about, with or without runs: ``SETTING`` columns and ``factors`` in words, as of runs.
        horizon: steps.
        beliefs: before any run was seen.

    Returns:
        [draws, settings] in shares of the untrained loss, raised as in the order of ``predict`` where it is not known
        that few runs diverge. The same ones whoever asks.
    """
    given = runs_by_length(_told(runs, horizon), settings)
    keys = list(given.table.columns)
    places = settings.merge(given.table.reset_index(), how="left", on=keys)["index"].to_numpy(np.int64)
    length = given.units_to(horizon)
    chances = LateRisk.of(given, beliefs.risk).competing(places, length).chances
    curves, random = LossCurves(given, beliefs.curves), np.random.default_rng(0)
    values = curves.draws(places, length, random.normal(size=(DRAWS, len(places))))
    kept = curves.shares(values, curves.noise(places, length))
    lost = random.beta(chances.lost, chances.kept, kept.shape)
    return np.asarray(lost + (1 - lost) * kept + _penalty(chances.below(ACCEPTED_RISK)))


def _told(runs: pd.DataFrame, horizon: int) -> pd.DataFrame:
    """The runs that tell something of a horizon."""
    return runs[runs["outcome"].isin(["trained", "stalled", "diverged"]) & (runs["steps"] <= horizon)]


def _penalty(safe: Floats) -> Floats:
    return np.asarray(PENALTY * np.maximum(CONFIDENT - safe, 0.0))


def _asked(given: RunsByLength) -> Ints:
    """The settings that are predicted."""
    size = len(given.table)
    longer = given.longest > given.shortest
    short = given.steps == given.shortest
    counts = np.bincount(given.setting[short], minlength=size)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = np.where(longer, np.inf, np.bincount(given.setting[short], given.shares[short], size) / counts)
    best = np.argsort(np.nan_to_num(means, nan=np.inf), kind="stable")[:BEST_OF_SHORT]
    return np.union1d(np.flatnonzero(longer), best[means[best] < 1]).astype(np.int64)


def _worth(
    chances: Chances, curves: LossCurves, mean: Floats, sd: Floats, noise: Floats
) -> tuple[Floats, Floats, Floats]:
    """J [n] in shares with the ends of its interval: over what is known of the loss and of the risk."""
    kept = curves.shares(mean[:, None] + sd[:, None] * ndtri(_NODES), noise[:, None])[:, :, None]
    lost = betaincinv(chances.lost[:, None], chances.kept[:, None], _NODES)[:, None, :]
    worth = (lost + (1 - lost) * kept).reshape(len(mean), -1)
    low, high = np.quantile(worth, [(1 - WITHIN) / 2, (1 + WITHIN) / 2], axis=1)
    return worth.mean(1), low, high


def _order(expected: Floats, safe: Floats, measured: Ints) -> Ints:
    """The best first: those known to be safe that have the longest runs of all, by J, then the others.

    A setting that was not run as long as others cannot be the answer: that a law favours it may be its error. The
    others come by J, raised by how far they are from being known to be safe.
    """
    first = (safe >= CONFIDENT) & (measured == measured.max(initial=0))
    return np.lexsort([expected + _penalty(safe), ~first]).astype(np.int64)
