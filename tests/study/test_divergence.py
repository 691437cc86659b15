import json
import math
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch

from gradstudy.models.array import INITIAL_BATCHES
from gradstudy.study.divergence import DivergenceMonitor, DivergenceRule, Verdict, log_ratio

NAN, INF = math.nan, math.inf


def verdict_of(losses: Any, *, norms: Any = 1.0, **monitor: Any) -> tuple[DivergenceMonitor, Verdict]:
    """Watch a run of initial loss 1 to its end."""
    watching = DivergenceMonitor(1.0, **monitor)
    verdict = watching.observe_all(losses, np.broadcast_to(norms, np.shape(losses)))
    return watching, verdict or watching.finish()


def smoothed(losses: Any) -> float:
    """The bias-corrected average with a half-life of 10 steps, as one weighted mean."""
    weights = 0.5 ** (np.arange(len(losses))[::-1] / 10)
    return float(np.average(losses, weights=weights))


def test_the_smoothed_loss_is_a_weighted_mean_of_half_life_10() -> None:
    losses = np.random.default_rng(0).uniform(0.1, 2, 60)
    watching = DivergenceMonitor(1.0)
    for step, loss in enumerate(losses):
        watching.observe(loss, 1.0)
        assert watching.smoothed_loss == pytest.approx(smoothed(losses[: step + 1]), rel=1e-12)


def test_a_half_life_is_what_it_says() -> None:
    for half_life in (1, 10, 40):
        watching = DivergenceMonitor(1.0, DivergenceRule(half_life=half_life, blow_up=1e9))
        watching.observe_all([1.0] * 1000 + [0.0] * half_life, [1.0] * (1000 + half_life))
        assert watching.smoothed_loss == pytest.approx(0.5, rel=1e-5)


def test_the_smoothed_loss_of_no_loss_is_unknown() -> None:
    assert math.isnan(DivergenceMonitor(1.0).smoothed_loss)


@pytest.mark.parametrize("bad", [NAN, INF, -INF])
def test_a_loss_that_is_not_finite_ends_the_run_at_once(bad: float) -> None:
    watching, verdict = verdict_of([0.9, 0.8, bad, 0.7])
    assert verdict == Verdict("diverged", "non_finite_loss", 2)
    assert watching.steps == 3


@pytest.mark.parametrize("bad", [NAN, INF])
def test_a_gradient_that_is_not_finite_ends_the_run_at_once(bad: float) -> None:
    _, verdict = verdict_of([0.9, 0.8, 0.7], norms=[1.0, bad, 1.0])
    assert verdict == Verdict("diverged", "non_finite_gradient", 1)


def test_where_both_are_not_finite_it_was_the_loss() -> None:
    _, verdict = verdict_of([NAN], norms=[NAN])
    assert verdict.reason == "non_finite_loss"


def test_a_huge_finite_gradient_is_no_divergence() -> None:
    _, verdict = verdict_of([0.9, 0.5], norms=1e300)
    assert verdict == Verdict("trained")


def test_the_guard_gives_up_after_five_skipped_steps_in_a_row() -> None:
    watching, verdict = verdict_of([0.9] + [NAN] * 4 + [INF] + [0.5], guard=True)
    assert verdict == Verdict("diverged", "non_finite_loss", 5)
    assert watching.skipped_steps == 5


def test_the_guard_gives_up_on_gradients_too() -> None:
    _, verdict = verdict_of([0.9] * 8, norms=[1.0, 1.0] + [INF] * 6, guard=True)
    assert verdict == Verdict("diverged", "non_finite_gradient", 6)


def test_a_finite_step_lets_the_guard_count_anew() -> None:
    watching, verdict = verdict_of(([NAN] * 4 + [0.5]) * 5, guard=True)
    assert verdict == Verdict("trained")
    assert watching.skipped_steps == 20
    assert watching.smoothed_loss == 0.5


def test_the_guard_of_a_spec_may_wait_for_fewer() -> None:
    _, verdict = verdict_of([0.9, NAN, NAN], rule=DivergenceRule(skipped_in_a_row=2), guard=True)
    assert verdict.step == 2


def test_a_smoothed_loss_above_five_times_the_initial_one_blows_up_at_once() -> None:
    losses = [1.0] * 10 + [20.0] * 10
    first = next(step for step in range(20) if smoothed(losses[: step + 1]) > 5)
    watching, verdict = verdict_of(losses)
    assert verdict == Verdict("diverged", "blow_up", first)
    assert watching.steps == first + 1


@pytest.mark.parametrize("loss", ["cross_entropy", "mae", "huber"])
def test_a_smoothed_loss_below_five_times_the_initial_one_is_no_blow_up(loss: Any) -> None:
    assert DivergenceMonitor(1.0, loss=loss).observe_all([4.999] * 40, [1.0] * 40) is None
    assert verdict_of([5.01], loss=loss)[1].reason == "blow_up"


def test_a_spike_that_recovers_is_no_divergence() -> None:
    _, verdict = verdict_of([1.0] * 100 + [40.0] + [0.5] * 100)
    assert verdict == Verdict("trained")


def test_squared_errors_blow_up_above_a_hundred_times_the_initial_loss() -> None:
    assert verdict_of([99.0] * 5 + [0.1] * 200, loss="mse")[1] == Verdict("trained")
    assert verdict_of([100.5], loss="mse")[1] == Verdict("diverged", "blow_up", 0)


@pytest.mark.parametrize(
    ("loss", "outcome"), [(1.19, "stalled"), (0.81, "stalled"), (1.21, "diverged"), (0.79, "trained")]
)
def test_noisy_data_can_be_given_room_on_both_sides_of_the_initial_loss(loss: float, outcome: str) -> None:
    _, verdict = verdict_of([loss] * 5, rule=DivergenceRule(noise_share=0.2))
    assert verdict.outcome == outcome


@pytest.mark.parametrize(("loss", "outcome"), [(1.19, "stalled"), (1.21, "diverged"), (0.98, "trained")])
def test_the_first_version_of_the_rule_has_room_above_only(loss: float, outcome: str) -> None:
    _, verdict = verdict_of([loss] * 5, rule=DivergenceRule(version=1, no_recovery_above=1.2))
    assert verdict.outcome == outcome


def test_constants_of_the_first_version_are_refused_by_the_second() -> None:
    with pytest.raises(ValueError, match=r"belong to version 1.*but got 0\.99 and 1\.2"):
        DivergenceRule(no_recovery_above=1.2)


def test_the_noise_is_that_of_the_two_means_that_are_compared() -> None:
    """Simulated: l0 - s_T of runs that do nothing has the standard deviation that the rule multiplies."""
    random, differences = np.random.default_rng(0), []
    for _ in range(4000):
        watching = DivergenceMonitor(
            random.normal(100.0, 1.0, 16).tolist(), DivergenceRule(noise_share=0, noise_errors=1)
        )
        watching.observe_all(random.normal(100.0, 1.0, 60), np.ones(60))
        differences.append((watching.smoothed_loss - watching.initial_loss) / watching.noise * watching.spread)
    assert np.std(differences) == pytest.approx(1.0, rel=0.05)


@pytest.mark.parametrize("of_a_batch", [4.0, 40.0])
def test_a_run_that_does_nothing_never_diverges(of_a_batch: float) -> None:
    """Losses of batches are means of few or many skewed numbers: gamma distributed, with this shape."""
    random = np.random.default_rng(1)

    def losses(count: int) -> np.ndarray:
        return random.gamma(of_a_batch, size=count)

    outcomes = set()
    for _ in range(1000):
        watching = DivergenceMonitor(losses(16).tolist(), DivergenceRule(blow_up=1e9))
        outcomes.add((watching.observe_all(losses(200), np.ones(200)) or watching.finish()).reason)
    assert outcomes == {None}


FELL_AND_ROSE = [1.0] * 20 + [0.4] * 100 + [0.9] * 100


def test_a_run_that_lost_most_of_what_it_had_learned_has_collapsed() -> None:
    assert verdict_of(FELL_AND_ROSE)[1] == Verdict("diverged", "collapse")
    assert verdict_of(FELL_AND_ROSE, rule=DivergenceRule(version=1))[1] == Verdict("trained")


def test_a_run_that_kept_half_of_what_it_had_learned_has_not_collapsed() -> None:
    assert verdict_of([1.0] * 20 + [0.4] * 100 + [0.69] * 100)[1] == Verdict("trained")


def test_a_gain_of_less_than_a_tenth_cannot_collapse() -> None:
    assert verdict_of([1.0] * 20 + [0.92] * 100 + [0.98] * 100)[1] == Verdict("trained")


@pytest.mark.parametrize(("validation", "outcome"), [(1.9, "diverged"), (1.0, "trained"), (NAN, "diverged")])
def test_a_collapse_shows_in_the_validation_loss_as_well(validation: float, outcome: str) -> None:
    watching = DivergenceMonitor(1.0)
    watching.observe_all(FELL_AND_ROSE, np.ones(len(FELL_AND_ROSE)))
    assert watching.finish(validation, 2.0).outcome == outcome


@pytest.mark.parametrize("losses", [
    [-3.0] * 20 + [-3.8] * 200, [-3.0] * 200, [-3.0] * 20 + [-3.8] * 100 + [-3.1] * 100, [-3.0] * 20 + [-2.0] * 200,
    [-3.0] * 5 + [500.0] * 5, [NAN],
])  # fmt: skip
def test_a_likelihood_has_the_same_verdict_whatever_constant_is_added(losses: list[float]) -> None:
    verdicts = set()
    for constant in (0.0, 3.0, 4.0, 1000.0):
        first = [-3.0 + constant + 0.01 * place for place in range(-8, 8)]
        watching = DivergenceMonitor(first, loss="likelihood")
        shifted = np.array(losses) + constant
        verdicts.add(watching.observe_all(shifted, np.ones(len(losses))) or watching.finish())
    assert len(verdicts) == 1


def test_a_loss_below_zero_trains_stalls_diverges_and_collapses_by_what_was_learned() -> None:
    def outcome(*losses: float) -> str | None:
        watching = DivergenceMonitor([-3.1, -3.0, -2.9, -3.0])
        verdict = watching.observe_all(np.repeat(losses, 100), np.ones(100 * len(losses))) or watching.finish()
        return verdict.reason or verdict.outcome

    assert outcome(-3.8) == "trained"
    assert outcome(-3.0) == "stalled"
    assert outcome(-3.8, -3.2) == "collapse"
    assert outcome(-2.0) == "no_recovery"
    assert outcome(-3.8, 200.0) == "blow_up"


def test_a_likelihood_whose_batches_are_all_alike_may_rise_and_recover() -> None:
    watching = DivergenceMonitor([-3.0] * 16, loss="likelihood")
    assert watching.observe_all([-3.0] + [-2.7] * 5 + [-3.9] * 100, np.ones(106)) is None
    assert watching.finish() == Verdict("trained")
    idle = DivergenceMonitor([-3.0] * 16, loss="likelihood")
    assert idle.observe_all(np.full(50, -3.0 + 1e-6), np.ones(50)) is None
    assert idle.finish() == Verdict("stalled")


def test_the_initial_loss_may_be_a_tensor_or_a_number_of_numpys() -> None:
    for given in (2.0, np.float32(2), torch.tensor(2.0, requires_grad=True), [1.0, np.float32(3)]):
        assert DivergenceMonitor(given).initial_loss == 2.0


def test_an_untrained_loss_that_is_not_finite_is_said_before_training() -> None:
    with pytest.raises(ValueError, match="batch 1 gives inf: look at the data and the loss"):
        DivergenceMonitor.before_training(float, [1.0, INF, 2.0])


def test_ending_above_the_initial_loss_is_no_recovery() -> None:
    _, verdict = verdict_of([0.5] * 50 + [1.1] * 200)
    assert verdict == Verdict("diverged", "no_recovery")


def test_a_run_that_was_above_the_initial_loss_for_186_steps_and_recovered_has_trained() -> None:
    watching = DivergenceMonitor(1.0)
    assert watching.observe_all([2.3] * 186, [1.0] * 186) is None
    assert watching.margin > 0
    assert watching.observe_all([0.6] * 114, [1.0] * 114) is None
    assert watching.finish() == Verdict("trained")


def test_a_run_without_a_finite_loss_has_not_recovered() -> None:
    _, verdict = verdict_of([NAN] * 3, guard=True)
    assert verdict == Verdict("diverged", "no_recovery")


@pytest.mark.parametrize(("end", "outcome"), [(1.0, "stalled"), (0.995, "stalled"), (0.985, "trained")])
def test_a_run_that_hardly_learned_has_stalled(end: float, outcome: str) -> None:
    _, verdict = verdict_of([end] * 100)
    assert verdict == Verdict(outcome)  # type: ignore[arg-type]


def test_the_limits_scale_with_the_initial_loss() -> None:
    small = DivergenceMonitor(0.01)
    assert small.observe(0.051, 1.0) == Verdict("diverged", "blow_up", 0)
    large = DivergenceMonitor(100.0)
    assert large.observe_all([490.0] * 5 + [90.0] * 200, [1.0] * 205) is None
    assert large.finish() == Verdict("trained")


@pytest.mark.parametrize("ratio", [0.01, 0.9, 1.0, 1.2, 4.0])
def test_the_margin_is_the_logarithm_of_the_ratio(ratio: float) -> None:
    watching = DivergenceMonitor(3.7)
    watching.observe(3.7 * ratio, 1.0)
    assert watching.margin == pytest.approx(np.log(ratio), abs=1e-12)


def test_the_margin_of_a_loss_of_nothing_is_infinite() -> None:
    assert (log_ratio(0.0, 1.0), log_ratio(1.0, 0.0), log_ratio(0.0, 0.0)) == (-INF, INF, -INF)
    assert math.isnan(DivergenceMonitor(1.0).margin)


def test_the_initial_loss_of_a_live_loop_is_the_mean_over_as_many_batches_as_a_study_takes() -> None:
    weight = torch.tensor(2.0, requires_grad=True)
    batches = (torch.tensor(float(n)) for n in (1, 2, 3, 6, *[3] * (INITIAL_BATCHES - 4), 100))
    watching = DivergenceMonitor.before_training(lambda batch: weight * batch, batches, loss="mse")
    assert watching.initial_loss == 2 * (1 + 2 + 3 + 6) / 4
    assert watching.observe(weight * 299, torch.tensor(1.0)) is None
    assert DivergenceMonitor(watching.initial_loss).observe(weight * 299, 1.0) == Verdict("diverged", "blow_up", 0)
    assert next(batches) == 100
    with pytest.raises(ValueError, match="no batch"):
        DivergenceMonitor.before_training(float, [])


def test_a_monitor_goes_on_from_its_state() -> None:
    losses = [1.0, NAN, 0.5, 2.0] * 10 + [NAN] * 5
    whole = DivergenceMonitor(1.0, guard=True)
    expected = whole.observe_all(losses, [1.0] * len(losses))
    first, second = DivergenceMonitor(1.0, guard=True), DivergenceMonitor(7.0, guard=True)
    assert first.observe_all(losses[:43], [1.0] * 43) is None
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert second.observe_all(losses[43:], [1.0] * 2) == expected == Verdict("diverged", "non_finite_loss", 44)
    assert (second.smoothed_loss, second.skipped_steps) == (whole.smoothed_loss, whole.skipped_steps)


def test_the_limit_of_a_monitor_that_goes_on_is_that_of_its_state() -> None:
    later = DivergenceMonitor(1000.0)
    later.load_state_dict(DivergenceMonitor(1.0).state_dict())
    assert later.observe(5.01, 1.0) == Verdict("diverged", "blow_up", 0)


def test_a_monitor_and_a_clipper_need_neither_optuna_nor_a_database() -> None:
    code = (
        "import sys\nfrom gradstudy.study.divergence import DivergenceMonitor\n"
        "from gradstudy.models.clipping import clip_gradients\n"
        "DivergenceMonitor.before_training(float, [1.0])\n"
        "print(sorted({'optuna', 'sqlalchemy', 'pandas', 'alembic'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


def test_with_the_guard_batches_that_would_be_skipped_do_not_count_in_the_initial_loss() -> None:
    losses = [2.0, math.nan, 4.0, math.inf]
    assert DivergenceMonitor(losses, guard=True).initial_loss == 3.0
    assert math.isnan(DivergenceMonitor(losses).initial_loss)
    assert math.isnan(DivergenceMonitor([math.nan, math.inf], guard=True).initial_loss)
