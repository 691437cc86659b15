import numpy as np
import pandas as pd
import pytest
from scipy import stats
from simulated import INITIAL_LOSS, frame_of

from gradstudy.study.statistics.rates import rate_difference, wilson_interval
from gradstudy.study.statistics.settings import by_setting


def runs_of(strategy: str, losses: list[float | None], **given: object) -> list[dict[str, object]]:
    """Runs of one setting; without a loss they diverged."""
    threshold = 1.0 if strategy == "norm" else np.nan
    return [
        {"strategy": strategy, "threshold": threshold, "learning_rate": 0.5, "seed": seed, "validation_loss": loss,
         "outcome": "trained" if loss is not None else "diverged"} | given
        for seed, loss in enumerate(losses)
    ]  # fmt: skip


@pytest.fixture
def table() -> pd.DataFrame:
    random = np.random.default_rng(0)
    norm, none = ([*map(float, random.normal(mean, 0.2, 12))] for mean in (1.5, 2.0))
    return frame_of([*runs_of("none", [*none, None, None, None]), *runs_of("norm", [*norm, None])])


def losses(table: pd.DataFrame, strategy: str) -> np.ndarray:
    return table.loc[table["strategy"] == strategy, "validation_loss"].fillna(INITIAL_LOSS).to_numpy()


def test_each_setting_is_judged_by_its_own_runs(table: pd.DataFrame) -> None:
    found = by_setting(table).set_index("strategy")
    for strategy, diverged, runs in (("norm", 1, 13), ("none", 3, 15)):
        row, own = found.loc[strategy], losses(table, strategy)
        assert (row["diverged"], row["runs"]) == (diverged, runs)
        assert (row["rate_low"], row["rate_high"]) == pytest.approx(wilson_interval(diverged, runs))
        interval = stats.ttest_1samp(own, 0).confidence_interval()
        assert row["loss"] == pytest.approx(own.mean())
        assert (row["loss"] - row["loss_away"], row["loss"] + row["loss_away"]) == pytest.approx(tuple(interval))


def test_a_setting_is_compared_with_no_clipping_by_welch_and_newcombe(table: pd.DataFrame) -> None:
    found = by_setting(table).set_index("strategy")
    row = found.loc["norm"]
    none, norm = losses(table, "none"), losses(table, "norm")
    low, high = stats.ttest_ind(none, norm, equal_var=False).confidence_interval()
    assert row["less_loss"] == pytest.approx(none.mean() - norm.mean())
    assert (row["less_loss"] - row["less_loss_away"], row["less_loss"] + row["less_loss_away"]) == pytest.approx(
        (low, high)
    )
    fewer = row[["less_diverged", "less_diverged_low", "less_diverged_high"]].tolist()
    assert fewer == pytest.approx(rate_difference(1, 13, 3, 15))
    assert found.loc["none"].filter(like="less_").isna().all()


def test_only_the_same_cell_learning_rate_and_factors_are_compared() -> None:
    rows = [
        *runs_of("none", [2.0, 2.1], factors={"hidden_size": 8}),
        *runs_of("norm", [1.0, 1.1], factors={"hidden_size": 8}),
        *runs_of("norm", [1.2, 1.3], factors={"hidden_size": 16}),
        *runs_of("norm", [1.4, 1.5], factors={"hidden_size": 8}, cell="gru"),
        *runs_of("norm", [1.6, 1.7], factors={"hidden_size": 8}, learning_rate=5.0),
    ]
    found = by_setting(frame_of(rows))
    assert found["loss"].tolist() == pytest.approx([1.05, 1.25, 1.45, 1.65, 2.05])
    assert found["less_loss"].notna().tolist() == [True, False, False, False, False]


def test_one_run_has_no_interval_and_equal_runs_a_narrow_one() -> None:
    found = by_setting(frame_of([*runs_of("none", [2.0]), *runs_of("norm", [1.0, 1.0, 1.0])])).set_index("strategy")
    assert np.isnan(found.loc["none", "loss_away"])
    assert found.loc["norm", "loss_away"] == 0
    assert found.loc["norm", "less_loss"] == 1
    assert by_setting(frame_of([])).empty
