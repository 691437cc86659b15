from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from simulated import frame_of, simulated_trials

from gradstudy.study.statistics.importance import divergence_importance


def importance(trials: pd.DataFrame) -> dict[str, float]:
    table = divergence_importance(trials)
    return dict(zip(table["factor"], table["importance"], strict=True))


def each_of_its_own_setting(rows: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """Trials whose learning rates differ a little, so that none is a replicate of another."""
    return frame_of({"learning_rate": 1 + number / 1e6, **row} for number, row in enumerate(rows))


def test_replicates_are_no_further_evidence() -> None:
    trials = simulated_trials(100, cells=("gru", "lstm"), strategies=("norm", "none"), edges=(0.5, 1.0))
    once, often = importance(trials), importance(pd.concat([trials] * 5))
    assert often == pytest.approx(once)


def test_a_factor_that_decides_takes_all_uncertainty_away_and_others_none() -> None:
    trials = simulated_trials(2000, cells=("gru", "lstm"), strategies=("norm", "none"))
    found = importance(trials.assign(outcome=np.where(trials["cell"] == "gru", "diverged", "trained")))
    assert found["cell"] == pytest.approx(1.0, abs=0.01)
    assert all(found[name] < 0.01 for name in ("learning_rate", "strategy"))
    assert next(iter(found)) == "cell"


def test_it_is_the_share_of_entropy_by_hand() -> None:
    # 3 of 4 LSTMs and 1 of 4 GRUs diverge, a hundred times: 1 - H(1/4) / H(1/2) bits, but for the correction.
    rows = [("lstm", True)] * 3 + [("lstm", False)] + [("gru", True)] + [("gru", False)] * 3
    trials = each_of_its_own_setting(
        {"cell": cell, "outcome": "diverged" if lost else "trained"} for cell, lost in rows * 100
    )
    bits = -(0.25 * np.log2(0.25) + 0.75 * np.log2(0.75))
    assert importance(trials)["cell"] == pytest.approx(1 - bits, abs=0.002)


def test_what_is_pure_chance_is_not_important() -> None:
    random, shares = np.random.default_rng(5), []
    for _ in range(50):
        trials = simulated_trials(60, cells=("gru", "lstm"), strategies=("norm", "none", "value"))
        shares.append(importance(trials.assign(outcome=random.choice(["diverged", "trained"], 60)))["strategy"])
    assert np.mean(shares) < 0.02


def test_a_threshold_counts_within_its_strategy() -> None:
    # High thresholds of norm diverge and high thresholds of value do not.
    rows = [
        {"strategy": strategy, "threshold": threshold, "outcome": "diverged" if lost else "trained"}
        for strategy, threshold, lost in [
            ("norm", 1.0, True),
            ("norm", 0.1, False),
            ("value", 1.0, False),
            ("value", 0.1, True),
        ]
    ] * 50
    found = importance(each_of_its_own_setting(rows))
    assert found["threshold"] == pytest.approx(1.0, abs=0.02)
    assert found["strategy"] == pytest.approx(0.0, abs=0.01)


def test_varied_factors_count_too() -> None:
    rows = [
        {"factors": {"layers": layers}, "outcome": "diverged" if layers == 4 else "trained"} for layers in (1, 2, 4)
    ]
    assert importance(each_of_its_own_setting(rows * 40))["layers"] == pytest.approx(1.0, abs=0.03)


@pytest.mark.parametrize("outcome", ["trained", "diverged"])
def test_when_all_end_alike_there_is_nothing_to_explain(outcome: str) -> None:
    assert divergence_importance(simulated_trials(50).assign(outcome=outcome)).empty
    assert divergence_importance(simulated_trials(50).iloc[:0]).empty
