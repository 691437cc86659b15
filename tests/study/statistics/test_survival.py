import numpy as np
import pandas as pd
import pytest
from simulated import frame_of

from gradstudy.study.statistics.survival import survival


def runs(*ended: tuple[int, str]) -> pd.DataFrame:
    """Runs that made so many steps and ended so."""
    return frame_of(
        {
            "steps": steps,
            "outcome": outcome,
            "diverged_at_step": steps - 1 if outcome == "diverged" else None,
        }
        for steps, outcome in ended
    )


def test_the_curve_equals_a_textbook_table() -> None:
    # The 6-MP arm of Freireich et al. 1963, weeks of remission; table 2.1 of Kleinbaum and Klein, Survival Analysis.
    relapsed = [6, 6, 6, 7, 10, 13, 16, 22, 23]
    censored = [6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35]
    table = survival(runs(*((week, "diverged") for week in relapsed), *((week, "trained") for week in censored)))
    assert table["step"].tolist() == [6, 7, 10, 13, 16, 22, 23]
    assert table["at_risk"].tolist() == [21, 17, 15, 12, 11, 7, 6]
    assert table["diverged"].tolist() == [3, 1, 1, 1, 1, 1, 1]
    book = [0.8571, 0.8067, 0.7529, 0.6902, 0.6275, 0.5378, 0.4482]
    assert table["surviving"].tolist() == pytest.approx(book, abs=5e-5)


def test_a_small_table_by_hand() -> None:
    # 5 runs: 4/5, one censored, then 1 of 3: 4/5 * 2/3.
    table = survival(runs((2, "diverged"), (3, "pruned"), (5, "diverged"), (9, "trained"), (9, "stalled")))
    assert table["surviving"].tolist() == pytest.approx([0.8, 0.8 * 2 / 3])
    assert ((table["surviving_low"] < table["surviving"]) & (table["surviving"] < table["surviving_high"])).all()


def test_running_and_failed_trials_are_censored_and_those_without_a_step_left_out() -> None:
    table = survival(runs((4, "diverged"), (2, "failed"), (6, "running"), (0, "running")))
    assert table[["at_risk", "surviving"]].to_numpy().tolist() == [[2, 0.5]]


def test_a_run_found_worse_than_untrained_at_its_end_diverged_at_its_end() -> None:
    trials = runs((7, "diverged"), (9, "trained"))
    table = survival(trials.assign(diverged_at_step=pd.array([None, None], dtype="Int64")))
    assert table[["step", "surviving"]].to_numpy().tolist() == [[7, 0.5]]


def test_everything_diverged_leaves_nothing() -> None:
    table = survival(runs((1, "diverged"), (1, "diverged")))
    assert table["surviving"].tolist() == [0.0]


def test_a_group_without_divergence_has_one_row_at_its_longest_run() -> None:
    table = survival(runs((5, "trained"), (8, "trained")))
    assert table[["step", "at_risk", "diverged", "surviving"]].to_numpy().tolist() == [[8, 1, 0, 1.0]]
    assert np.isnan(table["surviving_low"].iloc[0])


def test_groups_are_apart() -> None:
    trials = pd.concat([runs((5, "diverged"), (8, "trained")).assign(cell=cell) for cell in ("gru", "lstm")])
    assert survival(trials)[["cell", "surviving"]].to_numpy().tolist() == [["gru", 0.5], ["lstm", 0.5]]


def test_censoring_is_handled_on_simulated_times() -> None:
    random = np.random.default_rng(3)
    times, limit = random.geometric(0.05, 4000), random.integers(1, 60, 4000)
    ended = [
        (min(t, c), "diverged" if t <= c else "trained") for t, c in zip(times.tolist(), limit.tolist(), strict=True)
    ]
    table = survival(runs(*ended)).set_index("step")["surviving"]
    for step in (5, 20, 40):
        assert table[step] == pytest.approx(0.95**step, abs=0.03)


def test_of_no_trials_there_is_no_curve() -> None:
    table = survival(runs())
    assert table.empty
    assert {"cell", "step", "surviving"} <= set(table.columns)
