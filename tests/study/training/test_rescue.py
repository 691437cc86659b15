from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gradstudy.models.gradient_scales import SCALES
from gradstudy.storage.database import Database
from gradstudy.storage.frames import read_trials
from gradstudy.study.errors import NothingToRescueError
from gradstudy.study.search.space import Setting
from gradstudy.study.spec.study_spec import StudySpec, parse_spec
from gradstudy.study.statistics.rates import wilson_interval
from gradstudy.study.training.arrays import make_workspace
from gradstudy.study.training.branch_point import branch_point
from gradstudy.study.training.course import follow
from gradstudy.study.training.data import load_data
from gradstudy.study.training.recorded_trial import RecordedTrial
from gradstudy.study.training.remedies import Branch, Rewarmed, branches, usual_threshold
from gradstudy.study.training.rescue import rescue_trial, try_remedies


def number_of(database: Database, outcome: str) -> int:
    trials = read_trials(database, "s")
    return int(trials.loc[trials["outcome"] == outcome, "number"].iloc[0])


def trial_of(learning_rate: float, **given: Any) -> RecordedTrial:
    """A trial without clipping whose record says that it diverged."""
    fields: dict[str, Any] = {
        "name": "s",
        "task": "copy",
        "task_options": {"max_length": 4, "examples": 200},
        "model": {"hidden_size": 8},
        "steps": 60,
        "batch_size": 8,
    }
    setting = Setting(cell="lstm", strategy="none", threshold=None, learning_rate=learning_rate)
    spec = parse_spec(fields | given)
    return RecordedTrial(row={"outcome": "diverged"}, setting=setting, seed=5, spec=spec)


def test_nothing_changed_diverges_again_and_every_remedy_has_its_runs(finished: Database) -> None:
    before = read_trials(finished, "s")
    shares: list[float] = []
    tried = rescue_trial(finished, "s", number_of(finished, "diverged"), runs=3, advanced=shares.append)
    assert tried.reproduced
    table = tried.table.set_index("remedy")
    assert table.loc["nothing", ["runs", "survived"]].tolist() == [1, 0]
    assert table.loc["another order of the data", "runs"] == 2
    assert (table["runs"].drop(["nothing", "another order of the data"]) == 3).all()
    assert table.loc["a tenth of the learning rate", "survived"] >= table.loc["half the learning rate", "survived"]
    for row in tried.table.to_dict("records"):
        assert (row["share_low"], row["share_high"]) == wilson_interval(row["survived"], row["runs"])
        assert np.isnan(row["loss"]) == (row["survived"] == 0)
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0.0, 1.0)
    pd.testing.assert_frame_equal(read_trials(finished, "s"), before)  # nothing is stored


def test_a_remedy_that_lowers_the_rate_enough_saves_every_run() -> None:
    trial = trial_of(30.0)
    tried = try_remedies(trial, load_data(trial.spec), "trial 0", runs=2, device="cpu")
    table = tried.table.set_index("remedy")
    assert tried.reproduced
    assert table.loc["a tenth of the learning rate", "survived"] == 2
    assert table.loc["nothing", "survived"] == 0
    assert table["loss"].loc["a tenth of the learning rate"] < tried.untrained


def test_a_branch_in_the_middle_of_a_run_repeats_it_too() -> None:
    """A rate that rises all the time first trains the model and then is too much for it."""
    trial = trial_of(60.0, warmup=58, divergence={"half_life": 3})
    course = follow(trial, load_data(trial.spec), make_workspace(trial.spec, "cpu"))
    point = branch_point(course, trial.spec)
    assert point.step > 5
    tried = try_remedies(trial, load_data(trial.spec), "trial 0", runs=2, device="cpu")
    assert tried.reproduced
    assert tried.point == point


def test_only_a_trial_that_diverged_is_rescued(finished: Database) -> None:
    number = number_of(finished, "trained")
    with pytest.raises(
        NothingToRescueError,
        match=f"only a trial that diverged can be rescued, but trial {number} of study 's' is trained",
    ):
        rescue_trial(finished, "s", number)


def test_a_trial_that_does_not_diverge_here_is_not_rescued(finished: Database) -> None:
    number = number_of(finished, "trained")
    with finished.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE gradstudy_trial SET outcome = 'diverged'")
    with pytest.raises(NothingToRescueError, match="diverged when it was recorded, but trained here it has trained"):
        rescue_trial(finished, "s", number)


@pytest.fixture
def without_finite_gradients(tmp_path: Path) -> RecordedTrial:
    """Squares of these values can be held in single precision, the squares of their gradients cannot."""
    file = tmp_path / "large.csv"
    file.write_text("x\n" + "".join(f"{5e18 * (-1) ** row}\n" for row in range(200)))
    return trial_of(0.1, task=f"series:{file}", task_options={"standardize": False})


def test_a_trial_whose_strategy_skips_steps_is_judged_as_one_with_the_guard(
    without_finite_gradients: RecordedTrial,
) -> None:
    skipping = Setting(cell="lstm", strategy="skip_norm", threshold=1.0, learning_rate=0.1)
    trial = replace(without_finite_gradients, setting=skipping)
    course = follow(trial, load_data(trial.spec), make_workspace(trial.spec, "cpu"))
    assert course.guarded
    assert course.verdict.step == trial.spec.divergence.skipped_in_a_row - 1


def test_a_first_step_that_is_not_finite_has_no_remedy(without_finite_gradients: RecordedTrial) -> None:
    trial = without_finite_gradients
    with pytest.raises(NothingToRescueError, match="the first step of trial 0 has a loss or gradient that is not fin"):
        try_remedies(trial, load_data(trial.spec), "trial 0", runs=2, device="cpu")


def test_remedies_differ_from_the_trial_in_one_thing_each() -> None:
    trial = trial_of(30.0)
    course = follow(trial, load_data(trial.spec), make_workspace(trial.spec, "cpu"))
    point = branch_point(course, trial.spec)
    tried: dict[str, list[Branch]] = {}
    for branch in branches(trial, course, point, 4):
        tried.setdefault(branch.remedy, []).append(branch)
    (unchanged,) = tried["nothing"]
    own = unchanged.run
    half = [branch.run for branch in tried["half the learning rate"]]
    assert [run.learning_rate for run in half] == [15.0] * 4
    assert half[0].seed == own.seed == trial.seed
    assert len({run.seed for run in half}) == 4
    assert [run.seed for run in half[1:]] == [branch.run.seed for branch in tried["another order of the data"]]
    over = tried["bad batches passed over"]
    assert [branch.run for branch in over] == [own] * 4
    assert [branch.passed_over for branch in over] == [
        point.first_bad - point.step + further for further in (1, 2, 3, 4)
    ]
    assert [branch.warmup for branch in tried["warm-up anew, 6 steps"]] == [6] * 4
    assert {branch.run.strategy for branch in tried["standardize"]} == {"standardize"}
    assert "none" not in tried


def test_a_threshold_is_the_median_of_what_it_is_compared_with_or_the_middle_of_its_range(spec: StudySpec) -> None:
    scales = np.ones((3, len(SCALES)))
    scales[:, SCALES.index("norm")] = [1.0, 5.0, 2.0]
    scales[:, SCALES.index("largest_entry")] = [0.1, 0.3, np.inf]
    assert usual_threshold("norm", spec, scales) == 2.0
    assert usual_threshold("value", spec, scales) == 0.2
    assert usual_threshold("zclip", spec, scales) == 2.0  # of 0.5 to 8
    assert usual_threshold("standardize", spec, scales) is None


def test_learning_rates_rise_anew_from_the_step_that_is_branched_from() -> None:
    schedule = Rewarmed("linear", 10, begins=4, over=3)
    falling = np.array([(10 - step) / 10 for step in range(10)])
    rise = [1, 1, 1, 1, 1 / 3, 2 / 3, 1, 1, 1, 1]
    np.testing.assert_allclose(schedule.factors(), falling * rise)
