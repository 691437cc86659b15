"""A study and its confirmation where the truth is known: nothing is trained, runs diverge with a given probability."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import expit
from simulated import INITIAL_LOSS, appraised, frame_of, simulated_trials

from gradstudy.study.answer.confirmation_plan import Chosen, choose, confirmation_table, plan_round
from gradstudy.study.answer.recommendation import Recommendation, recommend
from gradstudy.study.frontier.table import frontier


@dataclass(frozen=True)
class Outcome:
    """What was said of the setting that the report chose, before and after fresh runs, and the truth."""

    before: Recommendation
    after: Recommendation
    rate_before: float
    rate_after: float
    fresh_runs: int


def simulate(
    seed: int, *, runs: int = 80, edge: float = 0.5, slope: float = 4.0, floor: float = 0.0, max_runs: int = 200
) -> Outcome | None:
    """Search, report, confirm: None where the study recommends nothing.

    Runs diverge with probability floor + (1 - floor) * expit(slope * (decade of the learning rate - edge)).
    """
    random = np.random.default_rng([seed, 1])

    def rate(learning_rate: float) -> float:
        return float(floor + (1 - floor) * expit(slope * (np.log10(learning_rate) - edge)))

    trials = simulated_trials(runs, edges=(edge,), slope=slope, seed=seed)
    lost = random.random(runs) < floor
    trials.loc[lost, ["outcome", "validation_loss"]] = ["diverged", np.nan]
    frontiers = frontier(trials)
    before, chosen = recommend(appraised(trials), frontiers), choose(appraised(trials), trials, 1)
    if before is None:
        return None
    fresh = _runs(chosen, {}, rate, random)
    while planned := plan_round(confirmation_table(chosen, fresh), 0.2, max_runs - len(fresh)):
        fresh = pd.concat([fresh, _runs(chosen, planned, rate, random)], ignore_index=True)
    after = recommend(appraised(trials, confirming=fresh), frontiers)
    if after is None:
        return None
    return Outcome(before, after, rate(before.setting.learning_rate), rate(after.setting.learning_rate), len(fresh))


def _runs(
    chosen: list[Chosen], planned: Mapping[int, int], rate: Callable[[float], float], random: np.random.Generator
) -> pd.DataFrame:
    """Fresh runs of the planned settings; learning goes the faster the higher the learning rate."""
    rows = []
    for place, count in planned.items():
        setting = chosen[place]
        for _ in range(count):
            lost = random.random() < rate(setting.learning_rate)
            loss = INITIAL_LOSS - 0.5 * (np.log10(setting.learning_rate) + 2) + random.normal(0, 0.01)
            rows.append(
                {
                    "cell": setting.cell,
                    "strategy": setting.strategy,
                    "threshold": np.nan if setting.threshold is None else setting.threshold,
                    "learning_rate": setting.learning_rate,
                    "outcome": "diverged" if lost else "trained",
                    "validation_loss": np.nan if lost else loss,
                    "seed": int(random.integers(2**31)),
                }
            )
    return frame_of(rows)
