"""Risks of longer runs against runs whose law is known."""

import numpy as np
import pandas as pd
import pytest

from gradstudy.study.horizon.beliefs import RiskPrior
from gradstudy.study.horizon.late_risk import LateRisk, interval
from gradstudy.study.horizon.runs_by_length import RunsByLength, runs_by_length

SHORT, UNTRAINED = 100, 3.0
RATES = 10 ** np.arange(-1.0, 2.01, 0.125)


def runs_of(rows: list[tuple[float, int, bool, float]]) -> RunsByLength:
    """Runs by learning rate, steps, whether they diverged, and at which step if before their end."""
    return runs_by_length(
        pd.DataFrame(
            {
                "cell": "gru", "strategy": "none", "threshold": np.nan, "learning_rate": rate, "factors": "",
                "steps": steps, "seed": seed, "outcome": "diverged" if lost else "trained",
                "objective": UNTRAINED if lost else 1.0, "untrained": UNTRAINED, "diverged_at_step": at,
            }
            for seed, (rate, steps, lost, at) in enumerate(rows)
        )
    )  # fmt: skip


def around_frontiers(moved: float, lengths: tuple[int, ...] = (1, 4, 16)) -> RunsByLength:
    """Runs around a frontier at 10 that moves up by so many decades with each factor of four."""
    random, rows = np.random.default_rng(0), []
    for times in lengths:
        frontier = 10 ** (1.0 + moved * np.log(times) / np.log(4))
        rates = [*RATES, *10 ** random.uniform(0.5, 1.5, 60)]
        rows += [(float(rate), times * SHORT, bool(rate > frontier), np.nan) for rate in rates]
    return runs_of(rows)


@pytest.mark.parametrize("moved", [-0.1, 0.0, 0.12])
def test_a_frontier_that_moves_is_followed(moved: float) -> None:
    risk = LateRisk.of(around_frontiers(moved), RiskPrior(shift=0.03, shift_sd=0.1))
    assert float(risk.frontiers.weights @ risk.frontiers.shift) == pytest.approx(moved, abs=0.03)


def test_beyond_what_was_run_the_frontier_is_less_well_known_the_longer_the_run() -> None:
    risk = LateRisk.of(around_frontiers(0.1, (1, 4)), RiskPrior(shift=0.03, shift_sd=0.1))
    spreads = [float(risk.frontiers.moved(length)[1][0]) for length in (1.0, 2.0, 3.0)]
    assert spreads[0] < spreads[1] < spreads[2]


def test_where_no_late_failure_was_seen_the_upper_end_is_about_three_over_what_was_watched() -> None:
    longer = 40
    short = [(float(rate), SHORT, bool(rate > 10), np.nan) for rate in RATES for _ in range(2)]
    kept = [(0.1, 4 * SHORT, False, np.nan)] * longer
    runs = runs_of([*short, *kept])
    # Nothing is believed of late failures before.
    risk = LateRisk.of(runs, RiskPrior(failures=1e-3, units=1e-3))
    failures, watched = risk.late()
    assert failures.sum() == 0
    assert watched.sum() == pytest.approx(longer)
    elsewhere = np.flatnonzero(np.isclose(RATES, 10**-0.5))
    _, high = interval(LateRisk.of(runs, RiskPrior(failures=1.0, units=0.0)).chances(elsewhere, 1.0))
    assert high[0] == pytest.approx(3 / longer, rel=0.6)


def test_late_failures_are_those_after_the_short_length_and_raise_the_risk_of_all() -> None:
    short = [(float(rate), SHORT, bool(rate > 10), np.nan) for rate in RATES for _ in range(2)]
    kept = [(0.1, 16 * SHORT, False, np.nan)] * 8
    failing = [*kept[:4], *[(0.1, 16 * SHORT, True, 700.0)] * 4]
    early = [*kept, (50.0, 16 * SHORT, True, 60.0)]
    safe, unsafe = (LateRisk.of(runs_of([*short, *more]), RiskPrior()) for more in (early, failing))
    assert safe.late()[0].sum() == 0
    assert unsafe.late()[0].sum() == pytest.approx(4, abs=0.2)
    assert unsafe.late()[1].sum() == pytest.approx(4 * 2 + 4 * np.log(7) / np.log(4))
    other = np.flatnonzero(np.isclose(RATES, 10**-0.5))
    assert unsafe.chances(other, 2.0).mean[0] > 2 * safe.chances(other, 2.0).mean[0]
    own = np.flatnonzero(np.isclose(RATES, 0.1))
    assert unsafe.chances(own, 2.0).mean[0] > 1.5 * unsafe.chances(other, 2.0).mean[0]


def test_a_collapse_far_below_the_frontier_is_a_late_failure_and_one_beyond_it_is_not() -> None:
    short = [(float(rate), SHORT, bool(rate > 10), np.nan) for rate in RATES for _ in range(2)]
    longer = [(0.1, 16 * SHORT, True, np.nan), (float(RATES[-1]), 16 * SHORT, True, np.nan)]
    failures, _ = LateRisk.of(runs_of([*short, *longer]), RiskPrior()).late()
    assert failures[np.isclose(RATES, 0.1)] == pytest.approx(1, abs=0.1)
    assert failures.sum() == pytest.approx(1, abs=0.2)
