"""Predictions against runs that a known law made: a power law of the loss, a frontier that moves, late failures."""

import numpy as np
import pandas as pd
import pytest

from gradstudy.study.errors import BeyondHorizonError
from gradstudy.study.horizon.prediction import predict

UNTRAINED = 3.7
SHORT = 100
SLOPE = -0.35
"""Of the logarithm of the loss, for each factor of four."""
NOISE = 0.03


def law(learning_rate: float, steps: int, cell: str) -> float:
    """The expected loss of a run that is kept."""
    lengths = np.log(steps / SHORT) / np.log(4)
    slope = SLOPE - (0.1 if cell == "gru" else 0.0)
    return float(UNTRAINED * np.exp(-0.5 + slope * lengths + 0.3 * np.log10(learning_rate / 3.0) ** 2))


def run(random: np.random.Generator, learning_rate: float, steps: int, seed: int, **known: object) -> dict[str, object]:
    cell, frontier = str(known.get("cell", "lstm")), float(str(known.get("frontier", 10.0)))
    diverged = learning_rate > frontier
    loss = law(learning_rate, steps, cell) * float(np.exp(random.normal(0, NOISE)))
    return {
        "cell": cell, "strategy": "none", "threshold": np.nan, "learning_rate": learning_rate, "factors": "",
        "steps": steps, "seed": seed, "outcome": "diverged" if diverged else "trained",
        "objective": UNTRAINED if diverged else loss, "untrained": UNTRAINED, "diverged_at_step": np.nan,
    }  # fmt: skip


RATES = [float(rate) for rate in 2.0 ** np.arange(-2, 6)]


def study(seed: int, longer: tuple[int, ...] = (), runs: int = 2) -> pd.DataFrame:
    """Short runs of two cells, and longer ones of two learning rates."""
    random = np.random.default_rng(seed)
    rows = [
        run(random, rate, SHORT, each, cell=cell) for cell in ("lstm", "gru") for rate in RATES for each in range(runs)
    ]
    for steps in longer:
        rows += [
            run(random, rate, steps, each, cell=cell)
            for cell in ("lstm", "gru")
            for rate in (2.0, 4.0)
            for each in range(runs)
        ]
    return pd.DataFrame(rows)


def test_intervals_hold_a_power_law_about_as_often_as_they_say_and_rungs_make_them_narrower() -> None:
    held, widths = [], {}
    for longer in ((), (4 * SHORT,)):
        for seed in range(8):
            table = predict(study(seed, longer), 16 * SHORT)
            true = np.array(
                [law(rate, 16 * SHORT, cell) for rate, cell in zip(table["learning_rate"], table["cell"], strict=True)]
            )
            safe = (table["learning_rate"] < 8).to_numpy()
            held += list(((table["loss_low"] <= true) & (true <= table["loss_high"]))[safe])
            widths[longer] = float((table["loss_high"] - table["loss_low"])[safe].mean())
    assert np.mean(held) >= 0.85
    assert widths[(4 * SHORT,)] < 0.7 * widths[()]


def test_what_was_measured_at_the_horizon_is_said_as_measured() -> None:
    runs = study(0, (4 * SHORT, 16 * SHORT), runs=4)
    table = predict(runs, 16 * SHORT)
    measured = table[table["measured"] == 16 * SHORT]
    assert len(measured) == 4
    means = runs[runs["steps"] == 16 * SHORT].groupby(["cell", "learning_rate"])["objective"].mean()
    for row in measured.to_dict("records"):
        assert row["loss"] == pytest.approx(means[row["cell"], row["learning_rate"]], rel=0.05)
        assert row["loss_high"] - row["loss_low"] < 0.3 * row["loss"]
    assert (measured["runs"] == 4).all()
    assert (measured["diverged"] == 0).all()
    best = min(law(row["learning_rate"], 16 * SHORT, row["cell"]) for row in measured.to_dict("records"))
    assert law(table["learning_rate"][0], 16 * SHORT, table["cell"][0]) <= 1.02 * best


def test_the_answer_is_not_one_that_diverges_though_its_kept_runs_end_lowest() -> None:
    runs = study(1, (4 * SHORT,))
    random = np.random.default_rng(2)
    rows = [run(random, 8.0, 4 * SHORT, seed, cell="gru") for seed in range(6)]
    for row in rows:
        row["objective"] = 0.3
    for row in rows[:3]:
        row |= {"outcome": "diverged", "objective": UNTRAINED, "diverged_at_step": 200}
    table = predict(pd.concat([runs, pd.DataFrame(rows)]), 4 * SHORT)
    assert table["learning_rate"].iloc[0] < 8
    risky = table[(table["learning_rate"] == 8) & (table["cell"] == "gru")].iloc[0]
    assert risky["risk_low"] < 0.5 < risky["risk_high"] + 0.2
    assert risky["diverged"] == 3


def test_a_loss_that_may_be_negative_and_is_shifted_moves_what_is_predicted_by_as_much() -> None:
    runs = study(3, (4 * SHORT,))
    low = runs.assign(objective=runs["objective"] - 10, untrained=runs["untrained"] - 10)
    lower = runs.assign(objective=runs["objective"] - 20, untrained=runs["untrained"] - 20)
    first, second = predict(low, 16 * SHORT), predict(lower, 16 * SHORT)
    np.testing.assert_allclose(first["loss"] - 10, second["loss"], rtol=1e-6)
    np.testing.assert_allclose(first["risk_high"], second["risk_high"])


def test_nothing_is_said_beyond_sixteen_times_the_longest_run() -> None:
    with pytest.raises(BeyondHorizonError, match=r"beyond 16 times the longest run.*400 steps.*got 6,401"):
        predict(study(0, (4 * SHORT,)), 64 * SHORT + 1)
    assert len(predict(study(0, (4 * SHORT,)), 64 * SHORT))


def test_runs_longer_than_the_horizon_are_not_asked() -> None:
    runs = study(0, (4 * SHORT, 16 * SHORT))
    shorter = predict(runs[runs["steps"] <= 4 * SHORT], 4 * SHORT)
    pd.testing.assert_frame_equal(predict(runs, 4 * SHORT), shorter)


def test_a_study_all_of_whose_runs_diverged_has_no_prediction() -> None:
    runs = study(0).assign(outcome="diverged", objective=UNTRAINED)
    assert predict(runs, 4 * SHORT).empty


def test_one_setting_alone_is_predicted_by_its_own_runs() -> None:
    random = np.random.default_rng(0)
    runs = pd.DataFrame([run(random, 2.0, steps, seed) for steps in (SHORT, 4 * SHORT) for seed in range(3)])
    (row,) = predict(runs, 4 * SHORT).to_dict("records")
    assert row["loss_low"] < law(2.0, 4 * SHORT, "lstm") < row["loss_high"] < UNTRAINED
    assert row["risk"] < 0.2
    (further,) = predict(runs, 16 * SHORT).to_dict("records")
    assert further["loss_low"] < law(2.0, 16 * SHORT, "lstm") < further["loss_high"]
    assert further["risk_high"] >= row["risk_high"]
