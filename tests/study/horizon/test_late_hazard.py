"""Hazards of late failures against sums over draws, and against runs whose hazard is known."""

import numpy as np
import pytest

from gradstudy.study.horizon.beliefs import HazardPrior
from gradstudy.study.horizon.risk.late_hazard import BELOW, LateHazard

AT_REFERENCE = -BELOW
WEAK = HazardPrior(failures=0.3, units=1.0, rise=6.0, rise_sd=5.0)


def test_survival_is_the_mean_over_hazards_and_frailties_weighed_by_how_probable_the_runs_are() -> None:
    random = np.random.default_rng(0)
    failures, units, prior = (
        np.array([3.0, 0.0, 0.0]),
        np.array([4.0, 5.0, 2.0]),
        HazardPrior(failures=2.0, units=10.0, rise=0.0, rise_sd=4.0),
    )
    found = LateHazard(failures, units, np.full(3, AT_REFERENCE), prior)
    hazards = random.gamma(prior.failures, 1 / prior.units, (400_000, 1)) * random.exponential(size=(400_000, 3))
    likely = np.exp((failures * np.log(hazards) - hazards * units).sum(1))
    for length in (0.5, 2.0):
        true = likely @ np.exp(-hazards * length) / likely.sum()
        first, second = found.survival(np.arange(3), length)
        np.testing.assert_allclose(first, true, atol=0.01)
        np.testing.assert_allclose(second, likely @ np.exp(-2 * hazards * length) / likely.sum(), atol=0.01)
        expected = likely @ (hazards * length) / likely.sum()
        np.testing.assert_allclose(found.cumulative(np.arange(3), length), expected, rtol=0.03)


@pytest.mark.parametrize("rise", [0.0, 6.0])
def test_a_hazard_that_rises_towards_the_frontier_is_known_at_every_distance(rise: float) -> None:
    random = np.random.default_rng(1)
    away, watched, at_reference = np.repeat(np.linspace(-1.2, 0.0, 13), 40), 3.0, 0.05
    true = at_reference * np.exp(rise * (away + BELOW))
    failures = random.poisson(true * watched).astype(float)
    found = LateHazard(failures, np.full(len(away), watched), away, WEAK)
    assert found.rise == pytest.approx(rise, abs=1.0)
    elsewhere, nothing = np.array([-1.0, -0.1]), np.zeros(2)
    units = np.concatenate([np.full(len(away), watched), nothing])
    found = LateHazard(np.concatenate([failures, nothing]), units, np.concatenate([away, elsewhere]), WEAK)
    hazards = found.cumulative(np.arange(2) + len(away), 1.0)
    np.testing.assert_allclose(hazards, at_reference * np.exp(rise * (elsewhere + BELOW)), rtol=0.4)


def test_where_nothing_failed_the_chance_of_a_failure_is_below_three_over_what_was_watched() -> None:
    watched = np.full(20, 2.0)
    found = LateHazard(np.zeros(20), watched, np.full(20, AT_REFERENCE), WEAK)
    first, _ = found.survival(np.arange(1), 1.0)
    assert 0 < 1 - first[0] < 3 / watched.sum()
