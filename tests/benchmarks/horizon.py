"""What studies of 200 and 800 steps say of runs 4 and 16 times as long, against real training to 12,800 steps.

The truth is ``data/horizon_runs.csv.gz``, see ``horizon_truth.py``. Beliefs are fitted to the other problems each time.

    python tests/benchmarks/horizon.py
"""

import numpy as np
import pandas as pd
from horizon_beliefs import fitted_beliefs
from horizon_rungs import FACTOR, GROUP, KEYS, TIMES, Truth, read, seen_after
from scipy.stats import betabinom, binom

from gradstudy.study.frontier.likelihood import Floats
from gradstudy.study.horizon.beliefs import Beliefs
from gradstudy.study.horizon.causes import CAUSES
from gradstudy.study.horizon.loss_curves import LossCurves
from gradstudy.study.horizon.prediction import predict
from gradstudy.study.horizon.risk.late_risk import LateRisk, interval
from gradstudy.study.horizon.runs_by_length import runs_by_length
from gradstudy.study.worth.risk import Chances

BRACKET = 2.01
"""Times a kept learning rate, up to which a lost one shows where the frontier is."""
RULE = -0.32
"""Exponent with which the best learning rate is said to fall with the steps (arXiv 2409.19913)."""
DRAWS = 4000
SURER = 2
"""Times as many runs that what is known of P(diverge) might count for: whether narrower intervals would tell more."""
SHORT = (200, 800)


def regret(truth: Truth, short: int, beliefs: Beliefs) -> dict[str, float]:
    """How far above the best known J that of the answer is, as a share of it, and which share of all steps it took."""
    horizon = TIMES * short
    seen = seen_after(truth, short, beliefs)
    known = truth.settings(horizon)
    answer = predict(seen, horizon, beliefs).merge(known, on=KEYS, suffixes=("_predicted", "")).iloc[0]
    best = known["loss"].min()
    of_short = truth.settings(short).merge(known[KEYS], on=KEYS).sort_values("loss").iloc[:1]
    before = of_short[KEYS].merge(known, on=KEYS)["loss"].iloc[0]
    return {
        "best": best, "answer": answer["loss"], "regret": answer["loss"] / best - 1, "of the short": before / best - 1,
        "steps": seen["steps"].sum() / (len(truth.of_length(short)) * horizon),
    }  # fmt: skip


def covered(truth: Truth, short: int, times: int, with_rungs: bool, beliefs: Beliefs) -> tuple[pd.DataFrame, ...]:
    """For each setting without runs at the horizon: whether its 90% intervals hold the truth, of J and of P(diverge).

    The truth is a mean of few runs: ``mean_holds`` is of the interval of such a mean, with their noise and with as many
    diverged ones as it happens to have, ``loss_holds`` of that of J itself.
    """
    horizon = short * times
    seen = seen_after(truth, short, beliefs) if with_rungs else truth.of_length(short)
    seen = seen[seen["steps"] < horizon]
    given = runs_by_length(seen)
    places, length = np.arange(len(given.table)), given.units_to(horizon)
    curves, risk = LossCurves(given, beliefs.curves), LateRisk.of(given, beliefs.risk)
    causes = risk.competing(places, length)
    chances = causes.chances
    low, high = interval(chances)
    every = given.table.assign(place=places, untrained=given.untrained).merge(truth.settings(horizon), on=KEYS)
    losses = predict(seen, horizon, beliefs).merge(every, on=KEYS, suffixes=("", "_true"))
    losses["loss_holds"] = losses["loss_true"].between(losses["loss_low"], losses["loss_high"])
    losses["mean_holds"] = _mean_holds(losses, curves, chances, length)
    risks = every.assign(low=low[every["place"]], high=high[every["place"]], risk_of=chances.mean[every["place"]])
    risks["holds"] = [_is_possible(*each) for each in risks[["low", "high", "lost", "runs"]].to_numpy()]
    known = chances.lost[risks["place"]], chances.kept[risks["place"]]
    for times_as_sure in (1, SURER):
        parameters = (times_as_sure * each for each in known)
        risks[f"told_{times_as_sure}"] = betabinom.logpmf(risks["lost"], risks["runs"], *parameters)
    for cause, means in zip(CAUSES, causes.means[risks["place"]].T, strict=True):
        risks[cause] = means * risks["runs"]
    return losses, risks


def _mean_holds(rows: pd.DataFrame, curves: LossCurves, chances: Chances, length: float) -> Floats:
    """Whether the mean of as many runs as the truth has is within the middle 90% of what such means would be."""
    random, held = np.random.default_rng(0), []
    places = rows["place"].to_numpy(np.int64)
    noises, known = curves.noise(places, length), curves.predict(places, length)
    for row, place, noise, mean, sd in zip(rows.to_dict("records"), places, noises, *known, strict=True):
        runs = int(row["runs_true"])
        values = random.normal(mean, sd, (DRAWS, 1)) + random.normal(0, noise, (DRAWS, runs))
        lost = random.random((DRAWS, runs)) < random.beta(chances.lost[place], chances.kept[place], (DRAWS, 1))
        losses = np.where(lost, 1.0, curves.shares(values, np.zeros(1))).mean(1) * row["untrained"]
        low, high = np.quantile(losses, [0.05, 0.95])
        held.append(low <= row["loss_true"] <= high)
    return np.array(held, float)


def _is_possible(low: float, high: float, lost: float, runs: float) -> bool:
    """Whether so many of so many runs are within the middle 90% for some probability of an interval."""
    chance = np.linspace(low, high, 201)
    in_middle = (binom.cdf(lost, runs, chance) >= 0.05) & (binom.sf(lost - 1, runs, chance) >= 0.05)
    return bool(np.any(in_middle))


def frontier_errors(truth: Truth, short: int, beliefs: Beliefs) -> pd.DataFrame:
    """Decades by which the frontiers at the horizon were missed, of groups that have one there."""
    horizon = TIMES * short
    given = runs_by_length(seen_after(truth, short, beliefs)).up_to(horizon - 1)
    risk = LateRisk.of(given, beliefs.risk)
    unchanged, _ = risk.frontiers.moved(0.0)
    ours, _ = risk.frontiers.moved(given.units_to(horizon))
    rows = []
    for group, table in truth.settings(horizon).groupby(GROUP, dropna=False):
        kept, lost = table[table["lost"] == 0]["learning_rate"], table[table["lost"] > 0]["learning_rate"]
        above = lost[(lost > kept.max()) & (lost <= BRACKET * kept.max())]
        if above.empty:
            continue
        true = np.log10(kept.max() * above.min()) / 2
        mine = given.table[GROUP].fillna(-1).eq(table.iloc[0][GROUP].fillna(-1)).all(axis=1).to_numpy()
        rows.append({
            "group": group, "true": true, "ours": abs(ours[mine].mean() - true),
            "unchanged": abs(unchanged[mine].mean() - true),
            "rule": abs(unchanged[mine].mean() + RULE * np.log10(TIMES) - true),
        })  # fmt: skip
    return pd.DataFrame(rows)


def main() -> None:
    truths = read()
    beliefs = {truth.name: fitted_beliefs([other for other in truths if other is not truth]) for truth in truths}
    for short in SHORT:
        able = [truth for truth in truths if (truth.settings(TIMES * short)["lost"] == 0).any()]
        rows = [{"problem": truth.name, **regret(truth, short, beliefs[truth.name])} for truth in able]
        _show(f"answers of {short:,} steps at {TIMES * short:,}", pd.DataFrame(rows))
        for times, with_rungs in ((FACTOR, False), (TIMES, False), (TIMES, True)):
            held = {truth.name: covered(truth, short, times, with_rungs, beliefs[truth.name]) for truth in able}
            every = [*held.items(), ("all", tuple(map(pd.concat, zip(*held.values(), strict=True))))]
            seen = f"runs up to {FACTOR * short:,}" if with_rungs else "short runs"
            at = f"at {times * short:,} steps, by {seen}"
            _show(f"90% intervals {at}", pd.DataFrame([{"problem": name, **_coverage(*each)} for name, each in every]))
            _show(f"diverged runs {at}: expected, seen", pd.DataFrame([
                {"problem": name, **{cause: _told(risks, cause) for cause in CAUSES}} for name, (_, risks) in every
            ]))  # fmt: skip
        errors = [frontier_errors(truth, short, beliefs[truth.name]).assign(problem=truth.name) for truth in able]
        table = pd.concat(errors)
        _show(f"frontiers at {TIMES * short:,} steps, decades", table)
        if len(table):
            print(table[["ours", "unchanged", "rule"]].agg(["mean", "median"]).round(3).to_string(), "\n")
    print(fitted_beliefs(truths))


def _coverage(losses: pd.DataFrame, risks: pd.DataFrame) -> dict[str, float]:
    return {
        "losses": len(losses), "loss held": losses["loss_holds"].mean(), "mean held": losses["mean_holds"].mean(),
        "risks": len(risks), "risk held": risks["holds"].mean(), "expected": (risks["risk_of"] * risks["runs"]).sum(),
        "lost": risks["lost"].sum(), "log score": risks["told_1"].sum(),
        f"{SURER} times as sure": risks[f"told_{SURER}"].sum(),
    }  # fmt: skip


def _told(risks: pd.DataFrame, cause: str) -> str:
    return f"{risks[cause].sum():.1f}, {risks[f'lost_{cause}'].sum()}"


def _show(title: str, table: pd.DataFrame) -> None:
    print(f"{title}\n{table.round(3).to_string(index=False)}\n")


if __name__ == "__main__":
    main()
