import numpy as np
import pytest
from simulated import INITIAL_LOSS, frame_of

from gradstudy.study.statistics.sensitivity import learning_rate_sensitivity


def test_the_sensitivity_is_the_mean_loss_less_the_best() -> None:
    losses = {0.1: 3.0, 1.0: 1.0, 10.0: None}
    trials = frame_of(
        {
            "learning_rate": rate,
            "validation_loss": np.nan if loss is None else loss,
            "outcome": "diverged" if loss is None else "trained",
        }
        for rate, loss in losses.items()
    )
    table = learning_rate_sensitivity(trials)
    assert table["sensitivity"].tolist() == pytest.approx([(3.0 + 1.0 + INITIAL_LOSS) / 3 - 1.0])
    assert table["half_decades"].tolist() == [3]


def test_a_loss_above_that_of_the_untrained_model_counts_as_that() -> None:
    trials = frame_of([{"validation_loss": 99.0, "learning_rate": 10.0}, {"validation_loss": 1.0}])
    assert learning_rate_sensitivity(trials)["sensitivity"].tolist() == pytest.approx([(INITIAL_LOSS - 1) / 2])


def test_many_runs_at_one_learning_rate_weigh_no_more_than_one() -> None:
    once = [{"learning_rate": 0.1, "validation_loss": 3.0}, {"learning_rate": 1.0, "validation_loss": 1.0}]
    often = once + [once[0]] * 9
    for rows in (once, often):
        assert learning_rate_sensitivity(frame_of(rows))["sensitivity"].tolist() == pytest.approx([1.0])


def test_a_loss_that_no_learning_rate_spoils_has_no_sensitivity() -> None:
    trials = frame_of([{"learning_rate": rate} for rate in (0.1, 1.0, 10.0)])
    assert learning_rate_sensitivity(trials)["sensitivity"].tolist() == [0.0]


def test_of_no_trials_there_is_no_sensitivity() -> None:
    assert learning_rate_sensitivity(frame_of([])).empty
