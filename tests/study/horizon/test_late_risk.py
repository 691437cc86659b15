"""Risks of longer runs against runs whose law is known."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from gradstudy.study.horizon.beliefs import HazardPrior, RiskPrior
from gradstudy.study.horizon.causes import BLOW_UP, CAUSES, COLLAPSE, NO_RECOVERY
from gradstudy.study.horizon.risk.late_risk import LateRisk, interval, late_failures
from gradstudy.study.horizon.runs_by_length import RunsByLength, runs_by_length

SHORT, UNTRAINED = 100, 3.0
RATES = 10 ** np.arange(-1.0, 2.01, 0.125)

SHORT_RUNS = [(float(rate), SHORT, bool(rate > 10), np.nan) for rate in RATES for _ in range(2)]
UNKNOWN = HazardPrior(failures=0.5, units=0.5, rise=0.0, rise_sd=0.1)
"""Hardly anything is believed of hazards before, but that they are the same at all learning rates."""


def runs_of(rows: list[tuple[float, int, bool | str, float]]) -> RunsByLength:
    """Runs by learning rate, steps, whether they diverged or by what, and at which step if before their end."""
    return runs_by_length(
        pd.DataFrame(
            {
                "cell": "gru", "strategy": "none", "threshold": np.nan, "learning_rate": rate, "factors": "",
                "steps": steps, "seed": seed, "outcome": "diverged" if lost else "trained",
                "reason": lost if isinstance(lost, str) else None,
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
    kept = [(float(rate), 4 * SHORT, False, np.nan) for rate in RATES[RATES < 3] for _ in range(3)]
    longer, runs = len(kept), runs_of([*SHORT_RUNS, *kept])
    risk = LateRisk.of(runs, RiskPrior(hazards=(replace(UNKNOWN, units=1e3), UNKNOWN)))
    failures, watched = late_failures(runs, risk.frontiers)
    assert failures.sum() == 0
    assert watched.sum() == pytest.approx(longer)
    elsewhere = np.flatnonzero(np.isclose(RATES, 10**-0.5))
    _, high = interval(risk.competing(elsewhere, 1.0).chances)
    assert high[0] == pytest.approx(3 / longer, rel=0.6)


def late(runs: RunsByLength) -> tuple[LateRisk, np.ndarray, np.ndarray]:
    risk = LateRisk.of(runs, RiskPrior())
    return risk, *late_failures(runs, risk.frontiers)


def test_late_failures_are_those_after_the_short_length_and_raise_the_risk_of_all() -> None:
    kept = [(0.1, 16 * SHORT, False, np.nan)] * 8
    failing = [*kept[:4], *[(0.1, 16 * SHORT, "blow_up", 700.0)] * 4]
    early = [*kept, (50.0, 16 * SHORT, "blow_up", 60.0)]
    (safe, none, _), (unsafe, failures, watched) = (late(runs_of([*SHORT_RUNS, *more])) for more in (early, failing))
    assert none.sum() == 0
    assert failures[BLOW_UP].sum() == failures.sum() == pytest.approx(4, abs=0.2)
    assert watched.sum() == pytest.approx(4 * 2 + 4 * np.log(7) / np.log(4), rel=0.02)
    other = np.flatnonzero(np.isclose(RATES, 10**-0.5))
    assert unsafe.competing(other, 2.0).chances.mean[0] > 2 * safe.competing(other, 2.0).chances.mean[0]
    own = np.flatnonzero(np.isclose(RATES, 0.1))
    assert unsafe.competing(own, 2.0).chances.mean[0] > 1.5 * unsafe.competing(other, 2.0).chances.mean[0]
    assert unsafe.competing(own, 2.0).means[0].argmax() == BLOW_UP


def test_a_run_that_has_lost_what_it_learned_is_a_late_failure_and_one_beyond_the_frontier_is_not() -> None:
    longer = [(0.1, 16 * SHORT, "no_recovery", np.nan), (float(RATES[-1]), 16 * SHORT, "no_recovery", np.nan)]
    _, failures, _ = late(runs_of([*SHORT_RUNS, *longer]))
    assert failures[COLLAPSE][np.isclose(RATES, 0.1)] == pytest.approx(1, abs=0.1)
    assert failures.sum() == pytest.approx(1, abs=0.2)


def test_what_fails_near_the_frontier_fails_as_those_did_that_failed_there() -> None:
    near = [float(rate) for rate in RATES if 10 < rate < 20]
    collapsed, unrecovered = ([(rate, 16 * SHORT, why, np.nan) for rate in near] * 8 for why in CAUSES[1:])
    above = np.flatnonzero((RATES > 12) & (RATES < 15))
    for more, cause in ((collapsed, COLLAPSE), (unrecovered, NO_RECOVERY)):
        risk, failures, _ = late(runs_of([*SHORT_RUNS, *more]))
        assert failures.sum() < 0.1 * len(more)
        assert risk.competing(above, 2.0).means[0].argmax() == cause


@pytest.mark.parametrize("hazards", [(0.25, 0.25), (0.1, 0.4)])
def test_of_competing_exponentials_each_cause_has_its_share_of_those_that_fail(hazards: tuple[float, float]) -> None:
    random, units = np.random.default_rng(3), 2.0
    longer: list[tuple[float, int, bool | str, float]] = []
    for rate in [rate for rate in RATES if 0.12 < rate < 3] * 12:
        blow_up, collapse = random.exponential(1 / np.array(hazards))
        if min(blow_up, collapse) > units:
            longer.append((float(rate), 16 * SHORT, False, np.nan))
        elif blow_up < collapse:
            longer.append((float(rate), 16 * SHORT, "blow_up", np.floor(SHORT * 4**blow_up)))
        else:
            longer.append((float(rate), 16 * SHORT, "collapse", np.nan))
    risk = LateRisk.of(runs_of([*SHORT_RUNS, *longer]), RiskPrior(hazards=(UNKNOWN, UNKNOWN)))
    # Of a setting without longer runs: its hazards are those of all.
    elsewhere = np.flatnonzero(np.isclose(RATES, 0.1))
    for length in (1.0, 2.0):
        found = risk.competing(elsewhere, length)
        failed = 1 - np.exp(-sum(hazards) * length)
        assert found.chances.mean[0] == pytest.approx(failed, rel=0.35)
        share = found.means[0] / found.chances.mean[0]
        assert share[BLOW_UP] == pytest.approx(hazards[0] / sum(hazards), abs=0.12)
        assert share[NO_RECOVERY] < 0.05
        assert found.means.sum() == pytest.approx(float(found.chances.mean[0]))


def test_near_a_frontier_runs_diverge_as_those_near_it_did_and_far_beyond_it_as_those_there() -> None:
    kept, unrecovered = (False, np.nan), ("no_recovery", np.nan)
    ends = [kept if rate < 10 else unrecovered if rate < 18 else ("blow_up", 5.0) for rate in RATES]
    short = [(float(rate), SHORT, *end) for rate, end in zip(RATES, ends, strict=True) for _ in range(6)]
    risk = LateRisk.of(runs_of(short), RiskPrior())
    near, far = (np.flatnonzero((low < RATES) & (high > RATES)) for low, high in ((11, 14), (70, 90)))
    assert risk.competing(near, 0.0).means[0].argmax() == NO_RECOVERY
    assert risk.competing(far, 0.0).means[0].argmax() == BLOW_UP
