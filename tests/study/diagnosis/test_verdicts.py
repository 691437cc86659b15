"""What is called diverged, by courses of a loss that are written down here."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from gradstudy.study.diagnosis.diagnose import diagnose
from gradstudy.study.diagnosis.run_diagnosis import RunDiagnosis

Column = Sequence[float] | np.ndarray
NAN = math.nan


@pytest.fixture
def judged(tmp_path: Path) -> Callable[..., list[RunDiagnosis]]:
    """The runs of a table with these columns; what is None is an empty cell."""

    def made(columns: Mapping[str, Column], untrained: float | None = None) -> list[RunDiagnosis]:
        rows = zip(*columns.values(), strict=True)
        lines = [",".join(columns), *(",".join("" if cell is None else str(cell) for cell in row) for row in rows)]
        path = tmp_path / "log.csv"
        path.write_text("\n".join(lines) + "\n")
        return list(diagnose([path], untrained=untrained).runs)

    return made


def falling(points: int, noise: float = 0.0, seed: int = 0, begin: float = 3.7, end: float = 0.5) -> np.ndarray:
    course = end + (begin - end) * np.exp(-np.arange(points) / (points / 5))
    return course * np.exp(noise * np.random.default_rng(seed).standard_normal(points))


Judge = Callable[..., list[RunDiagnosis]]


@pytest.mark.parametrize("noise", [0.0, 0.05, 0.3, 1.0])
@pytest.mark.parametrize("points", [5, 20, 100, 5000])
def test_a_noisy_run_that_learns_is_healthy(judged: Judge, points: int, noise: float) -> None:
    for seed in range(3):
        (run,) = judged({"step": range(points), "loss": falling(points, noise, seed)})
        assert run.judged.outcome in ("trained", "stalled")


@pytest.mark.parametrize("noise", [0.02, 0.2, 0.6])
@pytest.mark.parametrize("points", [2, 3, 6, 30, 300, 3000])
def test_a_run_that_goes_on_where_another_one_ended_is_healthy(judged: Judge, points: int, noise: float) -> None:
    for seed in range(10):
        flat = 0.5 * np.exp(noise * np.random.default_rng(seed).standard_normal(points))
        (run,) = judged({"step": range(4000, 4000 + points), "train_loss": flat})
        assert run.judged.outcome in ("trained", "stalled")


def test_running_means_whose_first_batch_was_easy_are_healthy(judged: Judge) -> None:
    losses = 0.5 * np.exp(0.4 * np.random.default_rng(1).standard_normal(400))
    losses[0] = 0.2
    (run,) = judged({"step": range(400), "loss": np.cumsum(losses) / np.arange(1, 401)})
    assert not run.is_bad


def test_a_model_that_overfits_has_not_diverged(judged: Judge) -> None:
    epochs = np.arange(40)
    overfitting = 2.3 * np.exp(-epochs / 4) + 0.1 * epochs
    (run,) = judged({"epoch": epochs, "val_loss": overfitting})
    assert not run.is_bad
    (run,) = judged({"epoch": epochs, "loss": 2.3 * np.exp(-epochs / 6), "val_loss": overfitting})
    assert run.judged.outcome == "trained"


def test_spikes_that_come_back_are_counted_and_not_punished(judged: Judge) -> None:
    losses = falling(1000, 0.03)
    losses[[400, 700]] = [9.0, 14.0]
    (run,) = judged({"step": range(1000), "loss": losses})
    assert run.judged.outcome == "trained"
    assert [spike.step for spike in run.spikes] == [400, 700]


def test_a_blow_up_that_comes_back_is_healthy(judged: Judge) -> None:
    losses = falling(1000)
    losses[200:260] = 50.0
    (run,) = judged({"step": range(1000), "loss": losses})
    assert run.judged.outcome == "trained"
    assert run.beyond_and_back is not None
    assert 200 <= run.beyond_and_back < 260


def test_steps_that_amp_skips_are_healthy(judged: Judge) -> None:
    norms = np.full(200, 1.0)
    norms[[0, 1, 2, 3, 4, 5, 100, 199]] = math.inf
    losses = falling(200)
    losses[150] = NAN
    (run,) = judged({"step": range(200), "loss": losses, "grad_norm": norms})
    assert run.judged.outcome == "trained"
    assert run.skipped == 8


@pytest.mark.parametrize("every", [1, 50])
def test_nan_to_the_end_has_diverged_where_it_begins(judged: Judge, every: int) -> None:
    losses = falling(100, 0.1)
    losses[70:] = NAN
    (run,) = judged({"global_step": every * np.arange(100), "loss": losses})
    assert (run.judged.outcome, run.judged.reason) == ("diverged", "non_finite_loss")
    assert (run.judged.last_good, run.judged.first_bad) == (69 * every, 70 * every)


def test_a_log_that_ends_with_its_first_nan_has_diverged(judged: Judge) -> None:
    (run,) = judged({"step": range(60), "loss": [*falling(59), NAN]})
    assert (run.judged.reason, run.judged.first_bad) == ("non_finite_loss", 59)


def test_a_rise_before_nan_is_the_first_bad_step(judged: Judge) -> None:
    losses = [*falling(100), 1.5, 4.0, 30.0, 1e4, NAN, NAN]
    (run,) = judged({"step": range(106), "loss": losses})
    assert (run.judged.reason, run.judged.first_bad, run.judged.not_finite_since) == ("non_finite_loss", 100, 104)


@pytest.mark.parametrize("points", [12, 40, 300])
def test_a_run_that_falls_back_has_collapsed(judged: Judge, points: int) -> None:
    (run,) = judged({"step": range(2 * points), "loss": [*falling(points, 0.01), *[3.6] * points]})
    assert (run.judged.outcome, run.judged.first_bad) == ("diverged", points)


def test_a_run_that_was_never_well_has_diverged_from_its_beginning(judged: Judge) -> None:
    (run,) = judged({"step": range(60), "loss": 3.7 * 1.5 ** np.minimum(np.arange(60), 20)})
    assert run.judged.outcome == "diverged"
    assert run.judged.first_bad is not None
    assert run.judged.first_bad <= 3


def test_no_finite_loss_at_all_is_no_setting_of_the_optimizer(judged: Judge) -> None:
    (run,) = judged({"step": range(9), "loss": [NAN] * 9})
    assert (run.judged.outcome, run.judged.reason, run.is_bad) == ("failed", "untrained_not_finite", True)


def test_the_untrained_loss_that_a_person_knows_is_what_counts(judged: Judge) -> None:
    columns = {"step": range(100, 200), "loss": np.full(100, 5.0)}
    assert judged(columns)[0].judged.outcome == "stalled"
    assert judged(columns, untrained=3.7)[0].judged.reason == "no_recovery"


def test_a_likelihood_below_zero_is_judged_by_what_it_gained(judged: Judge) -> None:
    losses = falling(300, begin=4.0, end=-3.0)
    assert judged({"step": range(300), "nll": losses})[0].judged.outcome == "trained"
    losses[200:] = 3.5
    (run,) = judged({"step": range(300), "nll": losses})
    assert (run.judged.outcome, run.judged.first_bad) == ("diverged", 200)


def test_rows_of_validation_between_those_of_training_do_not_disturb(judged: Judge) -> None:
    losses: list[float | None] = []
    validation: list[float | None] = []
    for loss in falling(200, 0.1):
        losses += [loss, None]
        validation += [None, 40.0]
    steps = np.repeat(np.arange(200), 2)
    (run,) = judged({"step": steps, "train/loss": losses, "val/loss": validation})
    assert (run.judged.outcome, run.losses.seen) == ("trained", 200)


def test_the_attempt_after_going_back_is_judged_and_the_one_before_is_told(judged: Judge) -> None:
    steps = [*range(100), *range(60, 160)]
    losses = [*falling(80), *[NAN] * 20, *falling(200)[100:]]
    (run,) = judged({"step": steps, "loss": losses})
    assert run.judged.outcome == "trained"
    assert run.ended_attempts == ((80.0, 60.0),)


@pytest.mark.parametrize("seed", range(5))
def test_rows_of_several_processes_out_of_order_are_one_run(judged: Judge, seed: int) -> None:
    losses = falling(400, 0.4, seed, begin=0.7)
    steps = np.arange(10, 410)
    steps[1::2] -= 2
    (run,) = judged({"step": steps, "loss": losses})
    assert (run.is_bad, run.losses.seen) == (False, 400)


def test_runs_one_after_the_other_in_a_file_are_told_apart(judged: Judge) -> None:
    steps = [*range(100), *range(100)]
    runs = judged({"step": steps, "loss": [*falling(100, 0.05), *falling(90, 0.05), *[NAN] * 10]})
    assert [(run.judged.outcome, run.judged.first_bad) for run in runs] == [("trained", None), ("diverged", 90)]


def test_steps_that_begin_anew_with_every_epoch_are_one_run(judged: Judge) -> None:
    columns = {
        "epoch": np.repeat(np.arange(4), 50),
        "batch": np.tile(np.arange(50), 4),
        "loss": [*falling(170), *[NAN] * 30],
    }
    (run,) = judged(columns)
    assert run.judged.first_bad == 170


def test_a_log_without_steps_is_counted(judged: Judge) -> None:
    (run,) = judged({"loss": [*falling(50), NAN], "accuracy": range(51)})
    assert run.judged.first_bad == 50
    (run,) = judged({"step": [0] * 51, "loss": [*falling(50), NAN]})
    assert run.judged.first_bad == 50


def test_the_gradient_that_goes_first_is_told(judged: Judge) -> None:
    norms, losses = np.full(200, 1.0), falling(200)
    norms[150:], losses[153:] = 80.0, 30.0
    (run,) = judged({"step": range(200), "loss": losses, "grad_norm": norms})
    assert (run.judged.first_bad, run.went_first, run.norm_left_at) == (153, "gradient", 150)
    norms[150:155] = 1.0
    (run,) = judged({"step": range(200), "loss": losses, "grad_norm": norms})
    assert (run.went_first, run.norm_left_at) == ("loss", 155)


def test_a_gradient_that_is_never_finite_again_has_diverged(judged: Judge) -> None:
    norms, losses = np.full(100, 1.0), falling(100)
    norms[80:], losses[81:] = NAN, 0.0  # as Hugging Face's trainer shows a loss that is NaN
    (run,) = judged({"step": range(100), "loss": losses, "grad_norm": norms})
    assert (run.judged.reason, run.judged.first_bad) == ("non_finite_gradient", 80)


def test_the_threshold_is_the_90th_percentile_of_the_healthy_norms(judged: Judge) -> None:
    norms = np.random.default_rng(0).lognormal(0, 1, 1000)
    losses = falling(1000)
    losses[800:], norms[800:] = NAN, 1e6
    (run,) = judged({"step": range(1000), "loss": losses, "gnorm": norms})
    assert run.healthy_norms is not None
    assert run.healthy_norms.threshold == float(f"{np.quantile(norms[:800], 0.9):.3g}")


def test_norms_that_were_clipped_before_they_were_logged_suggest_none(judged: Judge) -> None:
    norms = np.minimum(np.random.default_rng(0).lognormal(0, 1, 500), 1.0)
    (run,) = judged({"step": range(500), "loss": falling(500), "grad_norm": norms})
    assert run.healthy_norms is not None
    assert (run.healthy_norms.clipped_at, run.healthy_norms.threshold) == (1.0, None)


def test_warm_up_and_schedule_are_read_from_the_rate(judged: Judge) -> None:
    steps = np.arange(1, 301)
    rates = np.minimum(steps / 100, 1) * 0.1 * np.where(steps > 200, 0.5, 1)
    (run,) = judged({"step": steps, "loss": falling(300), "lr": rates})
    course = run.course_of_rate
    assert course is not None
    assert (course.warm_until, course.highest, course.last, course.jumps) == (100, 0.1, 0.05, ())
    (run,) = judged({"step": steps, "loss": falling(300), "lr": np.full(300, 0.3)})
    assert run.course_of_rate is not None
    assert run.course_of_rate.is_constant
