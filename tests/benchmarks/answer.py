"""What the answer of a study is worth where the truth is known, beside what Optuna's best trial is worth.

Regret is J of the recommended setting less the best J at no more than 10% risk, where J is the mean validation loss of
fresh runs of which a diverged one counts as untrained, in units in which an untrained model's is 3. Everything is paid
from one budget: rivals with halving spend a quarter of it on fresh runs of their best eight settings. Eight trials run
at once. "in J" and "in rate" are the shares of answers whose stated 95% intervals hold the truth; "same" is the share
of pairs of study seeds whose answers have the same cell and strategy.

    python tests/benchmarks/answer.py [--seeds 40] [--budgets 96,144,288,512] [--problems copy,cmudict,noisy]
        [--methods auto,qmc,tpe,random,gp]
"""

import argparse
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import optuna
import pandas as pd
from reference_map import CMUDICT, COPY
from search import row_of, searched
from search_problems import NoisyEdges, Point, Problem, ReferenceMap, columns, thresholds_of

from gradstudy.study.answer.appraisal import Appraisal
from gradstudy.study.answer.observation import mark_fresh
from gradstudy.study.answer.recommendation import Recommendation, recommend
from gradstudy.study.frontier.table import frontier

ACCEPTED_RISK, HIGH_RISK = 0.1, 0.2
FINALISTS = 8
HALVING_SHARE = 0.25
HALVING_RUNS = 24
"""Runs of one round each: 8 settings once, 4 twice, 2 four times."""
GRID_STEP = 0.05
"""Decades of learning rate between the settings among which the best one is found."""

Row = dict[str, Any]
Rows = Sequence[Row]
Problems = dict[str, Callable[[], Problem]]
PROBLEMS: Problems = {"copy": lambda: ReferenceMap(COPY), "cmudict": lambda: ReferenceMap(CMUDICT), "noisy": NoisyEdges}


def best_worth(problem: Problem) -> float:
    """The lowest J of a setting whose risk is accepted, on a grid."""
    low, high = np.log10(problem.spec.space.learning_rate)
    found = []
    for column in columns(problem.spec):
        for threshold in thresholds_of(problem.spec, column)[::8]:
            points = [Point(*column[:2], threshold, 10.0**decade) for decade in np.arange(low, high, GRID_STEP)]
            found += [worth.loss for worth in map(problem.worth, points) if worth.risk <= ACCEPTED_RISK]
    return min(found)


def point_of(row: dict[str, Any]) -> Point:
    """The setting of a row."""
    threshold = None if np.isnan(row["threshold"]) else float(row["threshold"])
    return Point(row["cell"], row["strategy"], threshold, float(row["learning_rate"]))


def objective(row: dict[str, Any]) -> float:
    """What Optuna is told, by which its best trial is chosen: a diverged trial is none."""
    return np.inf if row["outcome"] == "diverged" else float(row["validation_loss"])


def best_trial(problem: Problem, rows: Rows, budget: int, seed: int) -> Point:
    """The setting of the trial with the lowest loss."""
    return point_of(min(rows[:budget], key=objective))


def halved(problem: Problem, rows: Rows, budget: int, seed: int) -> Point:
    """The winner of successive halving over the best eight trials, by fresh runs."""
    runs = max(1, int(HALVING_SHARE * budget / HALVING_RUNS))
    random = np.random.default_rng([seed, 3])
    chosen = sorted(rows[: budget - HALVING_RUNS * runs], key=objective)[:FINALISTS]
    fresh: list[tuple[Point, list[float]]] = [(point_of(row), []) for row in chosen]
    while len(fresh) > 1:
        for point, losses in fresh:
            made = [row_of(problem, point, number, random) for number in range(runs)]
            losses += [min(objective(row), row["initial_validation_loss"]) for row in made]
        fresh = sorted(fresh, key=lambda each: float(np.mean(each[1])))[: len(fresh) // 2]
        runs *= 2
    return fresh[0][0]


def recommended(rows: Rows, sampler: str) -> Recommendation:
    """What the report recommends."""
    trials = pd.DataFrame(rows).sort_values("number")
    best = recommend(Appraisal(mark_fresh(trials, sampler, 1)), frontier(trials))
    assert best is not None
    return best


RIVAL = {"best trial": best_trial, "halving": halved}


def answers(problem: Problem, method: str, seed: int, budgets: Sequence[int]) -> Iterator[Row]:
    """The answers of one study seed to each budget."""
    rows: Rows = []
    for budget in budgets:
        start = time.monotonic()
        # With the sampler "auto" what is searched depends on the budget.
        if method == "auto" or not rows:
            rows = searched(problem, method, seed, budget if method == "auto" else max(budgets))
        seconds = time.monotonic() - start
        if method in REPORTED:
            best = recommended(rows[:budget], method)
            setting, evidence = best.setting, best.evidence
            point = Point(setting.cell, setting.strategy, setting.threshold, setting.learning_rate)
            worth = problem.worth(point)
            fresh = evidence.fresh
            yield {
                "answer": "report", "budget": budget, "seconds": seconds, "point": point,
                "in J": evidence.loss_low <= worth.loss <= evidence.loss_high,
                "in rate": np.nan if fresh is None else float(fresh.rate_low <= worth.risk <= fresh.rate_high),
            }  # fmt: skip
        else:
            for name, answer in RIVAL.items():
                yield {
                    "answer": name,
                    "budget": budget,
                    "seconds": seconds,
                    "point": answer(problem, rows, budget, seed),
                }


REPORTED = ("auto", "qmc", "frontier")
"""Samplers whose studies are answered by the report; the others by their best trial and by halving."""


def agreement(points: Sequence[Point]) -> float:
    """The share of pairs that have the same cell and strategy."""
    groups = [(point.cell, point.strategy) for point in points]
    return float(np.mean([left == right for left, right in combinations(groups, 2)]))


def compared(problem: Problem, methods: Sequence[str], budgets: Sequence[int], seeds: int) -> Iterator[Row]:
    """One row for each method, answer and budget."""
    best = best_worth(problem)
    for method in methods:
        made = pd.DataFrame([row for seed in range(seeds) for row in answers(problem, method, seed, budgets)])
        for (answer, budget), of_budget in made.groupby(["answer", "budget"]):
            worths = [problem.worth(point) for point in of_budget["point"]]
            regret = np.array([worth.loss - best for worth in worths])
            risk = np.array([worth.risk for worth in worths])
            yield {
                "problem": problem.name, "method": f"{method}, {answer}", "budget": budget,
                "regret": regret.mean(), "se": regret.std() / np.sqrt(seeds), "p90": np.quantile(regret, 0.9),
                "worst": regret.max(), "risk > 10%": (risk > ACCEPTED_RISK).mean(),
                "risk > 20%": (risk > HIGH_RISK).mean(), "same": agreement(list(of_budget["point"])),
                **{name: of_budget[name].astype(float).mean() for name in ("in J", "in rate") if name in of_budget},
                "seconds": of_budget["seconds"].mean(),
            }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--budgets", default="96,144,288,512")
    parser.add_argument("--problems", default=",".join(PROBLEMS))
    parser.add_argument("--methods", default="auto,qmc,tpe,random")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    budgets = [int(budget) for budget in options.budgets.split(",")]
    for name in options.problems.split(","):
        rows = compared(PROBLEMS[name](), options.methods.split(","), budgets, options.seeds)
        print(pd.DataFrame(rows).round(3).to_string(index=False), flush=True)


if __name__ == "__main__":
    main()
