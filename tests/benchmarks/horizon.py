"""How well a horizon is predicted and answered, against the real runs of ``horizon_truth.py``.

For each task and optimizer the models believe what was fitted to the other ones. A study has two short runs of every
setting; then come the longer runs that the rungs ask for. Shares of steps count every run at its full length, against
as many runs of every setting at the horizon.

    python tests/benchmarks/horizon.py [--beliefs]
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import expit, logit, ndtri, stdtrit
from scipy.stats import binom

from gradstudy.study.frontier.likelihood import Floats
from gradstudy.study.horizon.beliefs import Beliefs, CurvePrior, RiskPrior
from gradstudy.study.horizon.curve_process import CurveProcess
from gradstudy.study.horizon.late_risk import LateRisk, interval
from gradstudy.study.horizon.loss_curves import LossCurves
from gradstudy.study.horizon.prediction import predict
from gradstudy.study.horizon.runs_by_length import RunsByLength, runs_by_length

DATA = Path(__file__).parent / "data" / "horizon_runs.csv.gz"
GROUP = ["cell", "strategy", "threshold"]
KEYS = [*GROUP, "learning_rate"]
FACTOR, TIMES = 4, 16
BRACKET = 2.01
"""Times a kept learning rate, up to which a lost one shows where the frontier is."""
START = CurvePrior(
    slope=-0.4, tilt=0.1, level=1.0, level_cell=0.2, level_group=0.2, level_rate=0.4, level_own=0.05, slope_sd=0.25,
    slope_cell=0.15, slope_group=0.1, slope_rate=0.15, slope_own=0.05, walk_cell=0.1, walk=0.1, walk_own=0.05,
    noise=0.05, noise_length=0.2, noise_rate=0.5, decades=0.6, across=0.7,
)  # fmt: skip
"""What is thought likely before any problem was seen; the beliefs that the package has were fitted to all of them."""
BEND, BEST_OF_CELL = (200, 800, 3200), 6
SMALLEST_SHIFT_SD, FEWEST_FAILURES, PRIOR_SHARE = 0.03, 0.2, 0.2
RULE = -0.32
"""Exponent with which the best learning rate is said to fall with the steps (arXiv 2409.19913)."""


@dataclass(frozen=True)
class Truth:
    """Runs of one task and optimizer."""

    name: str
    runs: pd.DataFrame

    def of_length(self, *steps: int) -> pd.DataFrame:
        """The runs of these lengths."""
        return self.runs[self.runs["steps"].isin(steps)]

    def settings(self, steps: int) -> pd.DataFrame:
        """A row for each setting with runs of so many steps: ``loss``, ``lost``, ``runs``."""
        table = self.of_length(steps).groupby(KEYS, dropna=False, as_index=False)
        return table.agg(loss=("objective", "mean"), lost=("lost", "sum"), runs=("lost", "size"))


def read() -> list[Truth]:
    """The truth of every task and optimizer."""
    runs = pd.read_csv(DATA).rename(columns={"initial_validation_loss": "untrained"})
    runs = runs.assign(lost=runs["outcome"] == "diverged", factors="")
    named = runs.groupby(["task", "optimizer"])
    return [Truth(f"{task} {optimizer}", each.reset_index(drop=True)) for (task, optimizer), each in named]


def fitted_beliefs(truths: Sequence[Truth]) -> Beliefs:
    """The beliefs that make the runs of some problems most probable."""
    known = [runs_by_length(truth.runs) for truth in truths]
    risks = [LateRisk.of(each, RiskPrior(shift=0.0, shift_sd=0.1)) for each in known]
    values = [np.log(each.shares) for each in known]
    away = [each.from_best_rate() for each in known]
    begin = _numbers(START)

    def cost(theta: Floats) -> float:
        fit = _prior(theta)
        evidence = sum(CurveProcess(*each, fit).log_evidence for each in zip(known, values, away, strict=True))
        return -evidence + 0.5 * float(((theta - begin) ** 2).sum())

    found = minimize(cost, begin, method="L-BFGS-B", options={"maxiter": 20})
    # What differs from problem to problem is known from few of them only: as wide as Student's t is for a new one.
    few = len(known)
    wider = float(stdtrit(few - 1, 0.95) / ndtri(0.95) * np.sqrt(1 + 1 / few))
    curves = _prior(found.x)
    bends = np.concatenate([_bends(*each) for each in zip(known, values, strict=True)])
    curves = replace(
        curves, slope_sd=wider * curves.slope_sd,
        walk_cell=max(curves.walk_cell, float(np.sqrt((bends**2).mean() / 2))) if len(bends) else curves.walk_cell,
    )  # fmt: skip
    shifts = np.array([risk.frontiers.weights @ risk.frontiers.shift for risk in risks])
    failures, units = np.sum([[each.sum() for each in risk.late()] for risk in risks], axis=0)
    risk = RiskPrior(
        shift=0.0, shift_sd=wider * float(max(np.sqrt((shifts**2).mean()), SMALLEST_SHIFT_SD)),
        failures=FEWEST_FAILURES + PRIOR_SHARE * float(failures), units=1.0 + PRIOR_SHARE * float(units),
    )  # fmt: skip
    return Beliefs(curves=curves, risk=risk)


def _bends(runs: RunsByLength, values: Floats) -> Floats:
    """How much more the best settings of each cell gain in the second unit of length than in the first."""
    kept = pd.DataFrame({"setting": runs.setting, "steps": runs.steps, "value": values})[~runs.diverged]
    table = kept.pivot_table(index="setting", columns="steps", values="value")[list(BEND)].dropna()
    table = table.iloc[np.argsort(table[BEND[1]].to_numpy(), kind="stable")]
    cells = runs.settings.factors[table.index.to_numpy(), 0]
    best = [table[cells == cell].head(BEST_OF_CELL).to_numpy() for cell in np.unique(cells)]
    return np.array([(each[:, 2] - 2 * each[:, 1] + each[:, 0]).mean() for each in best])


def _numbers(prior: CurvePrior) -> Floats:
    turned = {"across": logit, "slope": float, "tilt": float}
    return np.array([turned.get(name, np.log)(value) for name, value in asdict(prior).items()])


def _prior(theta: Floats) -> CurvePrior:
    turned = {"across": expit, "slope": float, "tilt": float}
    names = [field.name for field in fields(CurvePrior)]
    return CurvePrior(**{name: float(turned.get(name, np.exp)(each)) for name, each in zip(names, theta, strict=True)})


@dataclass(frozen=True)
class Plan:
    """Settings and runs of each at 4 and at 16 times the short runs; whether the answer of these always goes along."""

    settings: tuple[int, int]
    runs: tuple[int, int]
    keeps_answer: bool = True


def seen_after(truth: Truth, short: int, plan: Plan) -> pd.DataFrame:
    """The runs that a study has seen after its rungs.

    To the first go the best settings of different groups, each with the next lower learning rate; to the second those
    that ended lowest in the first, and the answer of the short runs where it is kept.
    """
    seen = truth.of_length(short)
    ranked = truth.settings(short).sort_values("loss", kind="stable")
    first = _with_lower(ranked.groupby(GROUP, dropna=False).head(1), ranked)
    later = first.iloc[:0]
    for steps, count, runs in zip((FACTOR * short, TIMES * short), plan.settings, plan.runs, strict=True):
        answer = first.iloc[: int(plan.keeps_answer)]
        wanted = pd.concat([answer, later]).drop_duplicates(KEYS) if len(later) else first
        known = wanted.merge(truth.settings(steps)[KEYS], on=KEYS)[KEYS].head(count)
        more = truth.of_length(steps)
        more = more[more["seed"] < runs].merge(known, on=KEYS)
        later = (
            more.groupby(KEYS, dropna=False, as_index=False).agg(loss=("objective", "mean")).sort_values("loss")[KEYS]
        )
        seen = pd.concat([seen, more])
    return seen


def _with_lower(settings: pd.DataFrame, ranked: pd.DataFrame) -> pd.DataFrame:
    """Settings, each followed by the one with the next learning rate of at most three quarters of its own."""
    found = []
    for _, setting in settings.iterrows():
        same = ranked[GROUP].eq(setting[GROUP]) | (ranked[GROUP].isna() & pd.isna(setting[GROUP]))
        lower = ranked[same.all(axis=1) & (ranked["learning_rate"] <= 0.75 * setting["learning_rate"])]
        found += [setting[KEYS], *(lower.loc[place, KEYS] for place in lower.nlargest(1, "learning_rate").index)]
    return pd.DataFrame(found).astype({"threshold": float, "learning_rate": float}).reset_index(drop=True)


def regret(truth: Truth, short: int, plan: Plan, beliefs: Beliefs) -> dict[str, float]:
    """How far above the best known J that of the answer is, as a share of it, and which share of all steps it took."""
    horizon = TIMES * short
    table = predict(seen_after(truth, short, plan), horizon, beliefs)
    known = truth.settings(horizon)
    answer = table.merge(known, on=KEYS, suffixes=("_predicted", "")).iloc[0]
    made = [short * len(truth.of_length(short))]
    made += [n * r * times * short for n, r, times in zip(plan.settings, plan.runs, (FACTOR, TIMES), strict=True)]
    best = known["loss"].min()
    of_short = truth.settings(short).merge(known[KEYS], on=KEYS).sort_values("loss").iloc[:1]
    before = of_short[KEYS].merge(known, on=KEYS)["loss"].iloc[0]
    return {
        "best": best, "answer": answer["loss"], "regret": answer["loss"] / best - 1, "of the short": before / best - 1,
        "steps": sum(made) / (len(truth.of_length(short)) * horizon),
    }  # fmt: skip


def covered(truth: Truth, short: int, times: int, plan: Plan | None, beliefs: Beliefs) -> pd.DataFrame:
    """For each setting that was predicted without runs at the horizon: whether its 90% intervals hold the truth."""
    horizon = short * times
    seen = truth.of_length(short) if plan is None else seen_after(truth, short, plan)
    seen = seen[seen["steps"] < horizon]
    given = runs_by_length(seen)
    places, length = np.arange(len(given.table)), given.units_to(horizon)
    noise = LossCurves(given, beliefs.curves).noise(places, length)
    of_truth = truth.settings(horizon).merge(given.table.assign(noise=noise), on=KEYS)
    table = predict(seen, horizon, beliefs).merge(of_truth, on=KEYS, suffixes=("", "_true"))
    table["loss_holds"] = table["loss_true"].between(table["loss_low"], table["loss_high"])
    # The truth is a mean of few runs: the interval of such a mean is wider.
    away = ndtri(0.95) * table["noise"] / np.sqrt(table["runs_true"])
    low, high = (np.log(table["loss"] / table["loss_low"]), np.log(table["loss_high"] / table["loss"]))
    table["mean_holds"] = table["loss_true"].between(
        table["loss"] * np.exp(-np.hypot(low, away)), table["loss"] * np.exp(np.hypot(high, away))
    )
    risk = LateRisk.of(given, beliefs.risk)
    chances = risk.chances(places, length)
    low, high = interval(chances)
    risks = given.table.assign(low=low, high=high, risk_of=chances.mean).merge(truth.settings(horizon), on=KEYS)
    risks["holds"] = [_is_possible(*each) for each in risks[["low", "high", "lost", "runs"]].to_numpy()]
    return pd.concat(
        [table[["loss_holds", "mean_holds"]], risks[["holds", "risk_of", "lost", "runs", "low", "high"]]], axis=1
    )


def _is_possible(low: float, high: float, lost: float, runs: float) -> bool:
    """Whether so many of so many runs are within the middle 90% for some probability of an interval."""
    chance = np.linspace(low, high, 201)
    in_middle = (binom.cdf(lost, runs, chance) >= 0.05) & (binom.sf(lost - 1, runs, chance) >= 0.05)
    return bool(np.any(in_middle))


def frontier_errors(truth: Truth, short: int, plan: Plan, beliefs: Beliefs) -> pd.DataFrame:
    """Decades by which the frontiers at the horizon were missed, of groups that have one there."""
    horizon = TIMES * short
    given = runs_by_length(seen_after(truth, short, plan)).up_to(horizon - 1)
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


PLANS = {
    "12 and 3 runs": Plan((12, 3), (1, 1)),
    "12 and 3 runs, the best": Plan((12, 3), (1, 1), keeps_answer=False),
    "24 and 8 runs": Plan((12, 4), (2, 2)),
    "24 and 8 runs, the best": Plan((12, 4), (2, 2), keeps_answer=False),
}
MAIN = next(iter(PLANS))
SHORT = (200, 800)


def main() -> None:
    truths = read()
    beliefs = {truth.name: fitted_beliefs([other for other in truths if other is not truth]) for truth in truths}
    for short in SHORT:
        able = [truth for truth in truths if (truth.settings(TIMES * short)["lost"] == 0).any()]
        if not able:
            continue
        rows = [
            {"plan": name, "problem": truth.name, **regret(truth, short, plan, beliefs[truth.name])}
            for name, plan in PLANS.items()
            for truth in able
        ]
        _show(f"answers of {short:,} steps at {TIMES * short:,}", pd.DataFrame(rows))
        plan = PLANS[MAIN]
        for times, known in ((FACTOR, None), (TIMES, None), (TIMES, plan)):
            held = {truth.name: covered(truth, short, times, known, beliefs[truth.name]) for truth in able}
            rows = [
                {"problem": name, **_coverage(each)}
                for name, each in [*held.items(), ("all", pd.concat(held.values()))]
            ]
            seen = "short runs" if known is None else f"runs up to {FACTOR * short:,}"
            _show(f"90% intervals at {times * short:,} steps, by {seen}", pd.DataFrame(rows))
        errors = [frontier_errors(truth, short, plan, beliefs[truth.name]).assign(problem=truth.name) for truth in able]
        table = pd.concat(errors)
        _show(f"frontiers at {TIMES * short:,} steps, decades", table)
        if len(table):
            print(table[["ours", "unchanged", "rule"]].agg(["mean", "median"]).round(3).to_string(), "\n")
    print(fitted_beliefs(truths))


def _coverage(held: pd.DataFrame) -> dict[str, float]:
    return {
        "losses": int(held["loss_holds"].notna().sum()), "loss held": float(held["loss_holds"].astype(float).mean()),
        "mean held": float(held["mean_holds"].astype(float).mean()),
        "risks": int(held["holds"].notna().sum()), "risk held": float(held["holds"].astype(float).mean()),
        "expected": float((held["risk_of"] * held["runs"]).sum()), "lost": float(held["lost"].sum()),
    }  # fmt: skip


def _show(title: str, table: pd.DataFrame) -> None:
    print(f"{title}\n{table.round(3).to_string(index=False)}\n")


if __name__ == "__main__":
    main()
