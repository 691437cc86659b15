import numpy as np
import pytest
from simulated import simulated_trials

from gradstudy.study.frontier.found import found
from gradstudy.study.frontier.likelihood import LEVEL
from gradstudy.study.frontier.places import Places, Runs
from gradstudy.study.frontier.posterior import FrontierModel
from gradstudy.study.frontier.prior import SHIFT_SD, SPREAD, Prior, Readings
from gradstudy.study.frontier.readings import Named, readings
from gradstudy.study.frontier.table import frontier
from gradstudy.study.spec.parts import FoundFrontier, Like

SLOPE, RISE = 8.0, 3.5
TRUTH = np.array([0.9, 0.4, -0.1, -0.6])
"""Frontiers of one cell and strategy at four half-decades of threshold, in decades."""
PLACES = Places(np.zeros((4, 2), np.int64), np.arange(4)[:, None] / 2)


def reading(crossing: np.ndarray, sd: float = 0.05) -> Readings:
    return Readings(crossing, np.where(np.isnan(crossing), np.nan, sd), SLOPE, RISE)


def simulated(runs: int, seed: int = 0) -> tuple[Runs, np.ndarray]:
    """Runs of which 10% diverge at the frontiers."""
    random = np.random.default_rng(seed)
    target = np.arange(runs) % len(TRUTH)
    decades = random.uniform(-2, 2, runs)
    above = decades - TRUTH[target] + LEVEL / SLOPE + random.logistic(size=runs) / SLOPE
    return Runs(target, decades), np.clip(RISE * above, -10, 10)


def fitted(runs: int, seed: int, read: Readings | None) -> FrontierModel:
    return FrontierModel(PLACES, *simulated(runs, seed), Runs.none(), read)


def test_readings_count_as_observations_with_their_own_error_and_the_spread_between_studies() -> None:
    vague, like = Prior.vague(PLACES), Prior.like(PLACES, reading(TRUTH))
    heights = vague.covariance[:4, :4]
    error = SHIFT_SD**2 + SPREAD**2 * heights + 0.05**2 * np.eye(4)
    left = np.linalg.inv(np.linalg.inv(heights) + np.linalg.inv(error))  # precisions of independent sources add up
    assert like.crossing == pytest.approx(left @ np.linalg.solve(error, TRUTH))
    turned = np.diag(like.crossing) @ vague.covariance[4:, 4:] @ np.diag(like.crossing)
    assert like.covariance[:4, :4] == pytest.approx(left + turned)


def test_with_few_runs_a_study_like_it_makes_the_error_much_smaller() -> None:
    errors = {
        name: np.mean([np.abs(fitted(24, seed, read).crossing - TRUTH).mean() for seed in range(12)])
        for name, read in (("alone", None), ("like", reading(TRUTH + 0.1)))
    }
    assert errors["like"] < 0.6 * errors["alone"]


def test_a_wrong_one_is_forgotten() -> None:
    trusted = []
    for seed in range(6):
        alone, misled = fitted(60, seed, None), fitted(60, seed, reading(-2 * TRUTH - 1))
        assert misled.crossing == pytest.approx(alone.crossing, abs=0.15)
        trusted.append(misled.trust)
    assert np.mean(trusted) < 0.2
    assert fitted(60, 0, reading(TRUTH)).trust > 0.8
    assert fitted(60, 0, None).trust == 0


def test_of_what_the_other_study_did_not_try_little_is_known() -> None:
    places = Places(np.array([[0, 0], [0, 1]]), np.full((2, 1), np.nan))
    of_targets = Prior.like(places, reading(np.array([0.5, np.nan]))).covariance
    assert of_targets[1, 1] > 2 * of_targets[0, 0]


def test_nothing_read_is_nothing_known() -> None:
    none = fitted(20, 0, reading(np.full(4, np.nan)))
    assert none.crossing == pytest.approx(fitted(20, 0, None).crossing)


def test_frontiers_are_found_by_their_names() -> None:
    def one(rate: float, strategy: str = "norm", start: float | None = 0.1, **factors: int) -> FoundFrontier:
        return FoundFrontier(
            cell="gru", strategy=strategy, threshold_bin=start, factors=dict(factors), learning_rate=rate, decades=0.1
        )

    like = Like(study="o", frontiers=(one(1, hidden_size=32), one(100, hidden_size=64), one(0.1, "none", None)))
    asked = [
        Named("gru", "norm", -2),
        Named("gru", "norm", -2, {"hidden_size": 64, "layers": 2}),
        Named("gru", "norm", -2, {"hidden_size": 128}),
        Named("gru", "norm", -1),
        Named("gru", "none", None, {"layers": 2}),
        Named("lstm", "none", None),
    ]
    read = readings(like, asked, 0.5)
    assert read.crossing == pytest.approx([0.5, 1.5, np.nan, np.nan, -1.5, np.nan], nan_ok=True)
    assert read.sd == pytest.approx([np.hypot(1, 0.1), 0.1, np.nan, np.nan, 0.1, np.nan], nan_ok=True)


def test_what_a_study_found_is_what_its_report_says() -> None:
    trials = simulated_trials(300, edges=(0.5, -0.2), cells=("lstm", "gru"), strategies=("norm", "none"))
    like, table = found(trials, "o"), frontier(trials)
    assert [each.learning_rate for each in like.frontiers] == pytest.approx(table["frontier"].tolist())
    widths = np.log10(table["frontier_high"] / table["frontier_low"])
    assert [each.decades for each in like.frontiers] == pytest.approx((widths / 3.92).tolist())
    assert not found(simulated_trials(0), "o").frontiers


def test_a_report_of_few_runs_has_narrower_intervals_with_a_study_like_it() -> None:
    edges = (0.8, 0.3, -0.2, -0.7)
    like, trials = found(simulated_trials(400, edges=edges, seed=1), "o"), simulated_trials(40, edges=edges)
    alone, with_it = frontier(trials), frontier(trials, like)
    widths = [np.log10(table["frontier_high"] / table["frontier_low"]) for table in (alone, with_it)]
    assert (widths[1] < 0.85 * widths[0]).all()
    assert (with_it["trust"] > 0.7).all()
    assert "trust" not in alone
