from collections.abc import Iterator

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from threadpoolctl import threadpool_limits

from gradstudy.study.frontier.likelihood import Floats
from gradstudy.study.worth.loss_process import JITTER, LossProcess
from gradstudy.study.worth.observed import STRATEGY, Settings

Problem = tuple[Settings, Floats, Floats, np.ndarray]


@pytest.fixture(autouse=True, scope="module")
def blas_on_one_thread() -> Iterator[None]:
    """Small matrices take many times longer on two threads where other processes are busy."""
    with threadpool_limits(1, user_api="blas"):
        yield


def some(count: int, factors: int, seed: int = 0) -> Settings:
    """Settings of two values of each factor; the first strategy has no threshold."""
    random = np.random.default_rng(seed)
    codes = random.integers(2, size=(count, factors))
    thresholds = np.where(codes[:, STRATEGY] == 0, np.nan, random.uniform(-2, 1, count))
    return Settings(codes, thresholds, random.uniform(-2, 2, count))


def problem(count: int, factors: int, seed: int = 0) -> Problem:
    random = np.random.default_rng([seed, 1])
    settings = some(count, factors, seed)
    distances = settings.learning_rates + random.normal(-1, 0.3, count)
    shares = 0.4 + 0.1 * (distances + 0.5) ** 2 + 0.05 * settings.factors[:, 0] + random.normal(0, 0.03, count)
    return settings, distances, shares, random.integers(1, 5, count)


def some_hyperparameters(factors: int, seed: int = 0) -> Floats:
    random = np.random.default_rng(seed)
    variances = np.log(random.uniform(0.005, 0.06, factors + 2))
    return np.concatenate([variances, np.log(random.uniform(0.4, 1.5, 3)), np.log([5e-4, 8e-4, 3e-3])])


def matern(away: float, length: float) -> float:
    scaled = 5**0.5 * abs(away) / length
    return float((1 + scaled + scaled**2 / 3) * np.exp(-scaled))


def within(distance: float) -> float:
    return min(max(distance, -3.0), 1.0)


def prior(theta: Floats, a: tuple[Settings, Floats, int], b: tuple[Settings, Floats, int]) -> float:
    """The covariance of what two settings have in common, written out."""
    (left, left_distances, i), (right, right_distances, j) = a, b
    factors = left.factors.shape[1]
    shape, *of_factors, group = np.exp(theta[: factors + 2])
    distance, threshold, rate = np.exp(theta[factors + 2 : factors + 5])
    near = matern(within(left_distances[i]) - within(right_distances[j]), distance)
    apart = left.thresholds[i] - right.thresholds[j]
    near_threshold = 1.0 if np.isnan(apart) else matern(apart, threshold)
    total = shape * near
    for column in range(factors):
        if left.factors[i, column] == right.factors[j, column]:
            total += of_factors[column] * near * (near_threshold if column == STRATEGY else 1.0)
    if (left.factors[i] == right.factors[j]).all():
        total += group * near_threshold * matern(left.learning_rates[i] - right.learning_rates[j], rate)
    return float(total)


def noise(theta: Floats, distance: float) -> float:
    return float(np.exp(theta[-2]) + np.exp(theta[-1]) * np.exp(min(within(distance), 0.3) / 0.5))


def by_hand(
    theta: Floats, known: Problem, settings: Settings, distances: Floats, own: list[int]
) -> tuple[Floats, Floats, Floats]:
    """Means, standard deviations and covariance of what settings are worth, by the textbook's formulas."""
    observed, observed_distances, shares, runs = known
    n, m, nugget = len(observed), len(settings), float(np.exp(theta[-3]))
    covariance = np.empty((n, n))
    for i in range(n):
        for j in range(n):
            covariance[i, j] = prior(theta, (observed, observed_distances, i), (observed, observed_distances, j))
        covariance[i, i] += nugget + noise(theta, observed_distances[i]) / runs[i] + JITTER
    inverse, ones = np.linalg.inv(covariance), np.ones(n)
    middle = (ones @ inverse @ shares) / (ones @ inverse @ ones)
    across, among = np.empty((n, m)), np.empty((m, m))
    for j in range(m):
        for i in range(n):
            across[i, j] = prior(theta, (observed, observed_distances, i), (settings, distances, j))
            across[i, j] += nugget if own[j] == i else 0.0
        for k in range(m):
            among[k, j] = prior(theta, (settings, distances, k), (settings, distances, j))
    left = among - across.T @ inverse @ across
    return middle + across.T @ inverse @ (shares - middle), np.sqrt(np.diag(left) + nugget), left


@pytest.mark.parametrize("factors", [2, 3])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_gradient_of_the_objective_is_that_of_finite_differences(factors: int, seed: int) -> None:
    process = LossProcess(*problem(25, factors, seed), search=False)
    theta = some_hyperparameters(factors, seed)
    _, gradient = process._objective(theta)
    differences = approx_fprime(theta, lambda at: process._objective(at)[0], 1e-6)
    assert len(gradient) == factors + 2 + 6
    assert gradient == pytest.approx(differences, rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("factors", [2, 3])
def test_predictions_are_those_of_a_gaussian_process_written_out_in_loops(factors: int) -> None:
    known, theta = problem(20, factors), some_hyperparameters(factors)
    settings = some(12, factors, seed=5)
    distances = np.linspace(-4, 2, 12)  # ends beyond what is told apart
    process = LossProcess(*known, start=theta, search=False)
    predicted = process.predict(settings, distances)
    mean, sd, covariance = by_hand(theta, known, settings, distances, [-1] * 12)
    assert predicted.mean == pytest.approx(mean, rel=1e-6)
    assert predicted.sd == pytest.approx(sd, rel=1e-6)
    assert process.covariance(settings, distances, predicted) == pytest.approx(covariance, rel=1e-6, abs=1e-10)


def test_a_setting_among_the_observed_has_its_nugget_in_common_with_its_runs() -> None:
    known, theta = problem(20, 2), some_hyperparameters(2)
    theta[-3] = np.log(0.02)
    settings, distances, shares, _ = known
    process = LossProcess(*known, start=theta, search=False)
    places = np.arange(20)
    as_itself, as_another = process.predict(settings, distances, places), process.predict(settings, distances)
    mean, sd, _ = by_hand(theta, known, settings, distances, places.tolist())
    assert as_itself.mean == pytest.approx(mean, rel=1e-6)
    assert as_itself.sd == pytest.approx(sd, rel=1e-6)
    assert (as_itself.sd < as_another.sd).all()
    assert (np.abs(as_itself.mean - shares) < np.abs(as_another.mean - shares)).all()


def test_only_what_is_among_the_observed_uses_a_nugget() -> None:
    known, theta = problem(20, 2), some_hyperparameters(2)
    settings, distances = known[0].take([3, 4, 3]), known[1][[3, 4, 3]]
    process = LossProcess(*known, start=theta, search=False)
    predicted = process.predict(settings, distances, np.array([3, -1, -1]))
    mean, sd, _ = by_hand(theta, known, settings, distances, [3, -1, -1])
    assert predicted.mean == pytest.approx(mean, rel=1e-6)
    assert predicted.sd == pytest.approx(sd, rel=1e-6)
    assert predicted.sd[0] < predicted.sd[2]


def test_more_runs_of_a_setting_narrow_what_is_known_of_it_down_to_nothing() -> None:
    settings, distances, shares, runs = problem(20, 2)
    sds = []
    for count in (1, 2, 4, 8, 10**6):
        runs[7] = count
        process = LossProcess(settings, distances, shares, runs, some_hyperparameters(2), search=False)
        sds.append(float(process.predict(settings, distances, np.arange(20)).sd[7]))
    assert (np.diff(sds) < 0).all()
    assert sds[-1] < 1e-3


def test_the_noise_of_a_run_grows_towards_the_frontier_and_no_further_above_it() -> None:
    theta = some_hyperparameters(2)
    process = LossProcess(*problem(20, 2), start=theta, search=False)
    distances = np.array([-9.0, -3.0, -1.0, -0.5, 0.0, 0.3, 0.8, 5.0])
    variances = process.run_variance(distances)
    assert variances == pytest.approx([noise(theta, distance) for distance in distances])
    assert (np.diff(variances)[1:5] > 0).all()
    assert variances[0] == variances[1]
    assert variances[5] == variances[6] == variances[7]


def test_the_search_finds_hyperparameters_that_explain_the_runs_better_and_goes_on_from_there() -> None:
    known = problem(60, 2)
    before, found = LossProcess(*known, search=False), LossProcess(*known)
    value = before._objective(before.hyperparameters)[0]
    better = before._objective(found.hyperparameters)[0]
    assert better < value - 1
    again = LossProcess(*known, found.hyperparameters)
    assert before._objective(again.hyperparameters)[0] <= better


def test_the_found_noise_is_that_of_the_runs() -> None:
    random = np.random.default_rng(0)
    for sd in (0.01, 0.1):
        rates = random.uniform(-2, 0, 70)
        settings = Settings(np.zeros((70, 2), np.int64), np.full(70, np.nan), rates)
        shares = 0.5 + 0.2 * (rates + 1) ** 2 + random.normal(0, sd, 70)
        process = LossProcess(settings, rates, shares, np.ones(70, np.int64))
        found = process.run_variance(np.array([-1.0]))[0] + process.nugget
        assert np.sqrt(found) == pytest.approx(sd, rel=0.5)


def test_nineteen_of_twenty_settings_that_were_not_run_are_within_the_middle_95_percent() -> None:
    held = []
    for seed in range(10):
        random = np.random.default_rng(seed)
        theta = some_hyperparameters(2, seed)
        settings = some(45, 2, seed)
        distances = settings.learning_rates - 1
        each = [(settings, distances, place) for place in range(45)]
        in_common = np.array([[prior(theta, a, b) for a in each] for b in each])
        nugget = np.exp(theta[-3])
        truth = 0.5 + np.linalg.cholesky(in_common + nugget * np.eye(45)) @ random.normal(size=45)
        runs = random.normal(truth, [noise(theta, distance) ** 0.5 for distance in distances])
        process = LossProcess(
            settings.take(np.arange(20)), distances[:20], runs[:20], np.ones(20, np.int64), theta, search=False
        )
        predicted = process.predict(settings.take(np.arange(20, 45)), distances[20:])
        held += (np.abs(predicted.mean - truth[20:]) < 1.96 * predicted.sd).tolist()
    assert 0.91 < np.mean(held) < 0.985
