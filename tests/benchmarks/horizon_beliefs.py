"""The beliefs that make the runs of some problems of ``horizon_truth.py`` most probable."""

from collections.abc import Sequence
from dataclasses import asdict, fields, replace

import numpy as np
import pandas as pd
from horizon_rungs import Truth
from scipy.optimize import minimize
from scipy.special import expit, logit, ndtri, stdtrit

from gradstudy.study.frontier.likelihood import Floats
from gradstudy.study.horizon.beliefs import Beliefs, CurvePrior, HazardPrior, RiskPrior
from gradstudy.study.horizon.curve_process import CurveProcess
from gradstudy.study.horizon.risk.cause_shares import band_counts
from gradstudy.study.horizon.risk.late_hazard import LateHazard, counted_from
from gradstudy.study.horizon.risk.late_risk import LATE, LateRisk, late_failures
from gradstudy.study.horizon.runs_by_length import RunsByLength, runs_by_length

START = CurvePrior(
    slope=-0.4, tilt=0.1, level=1.0, level_cell=0.2, level_group=0.2, level_rate=0.4, level_own=0.05, slope_sd=0.25,
    slope_cell=0.15, slope_group=0.1, slope_rate=0.15, slope_own=0.05, walk_cell=0.1, walk=0.1, walk_own=0.05,
    noise=0.05, noise_length=0.2, noise_rate=0.5, decades=0.6, across=0.7,
)  # fmt: skip
"""What is thought likely before any problem was seen; the beliefs that the package has were fitted to all of them."""
UNKNOWN = RiskPrior(shift=0.0, shift_sd=0.1)
BEND, BEST_OF_CELL = (200, 800, 3200), 6
SMALLEST_SHIFT_SD, FEWEST_FAILURES, FEWEST_RUNS, PRIOR_SHARE = 0.03, 0.1, 0.2, 0.5
RISE = HazardPrior(failures=0.1, units=1.0, rise=8.0, rise_sd=4.0)
"""What is thought likely of late failures before any problem was seen: they rise as steeply as risks at a frontier."""


def fitted_beliefs(truths: Sequence[Truth]) -> Beliefs:
    """The beliefs that make the runs of some problems most probable."""
    known = [runs_by_length(truth.runs) for truth in truths]
    # What differs from problem to problem is known from few of them only: as wide as Student's t is for a new one.
    few = len(known)
    wider = float(stdtrit(few - 1, 0.95) / ndtri(0.95) * np.sqrt(1 + 1 / few))
    return Beliefs(curves=_curves(known, wider), risk=_risk(known, wider))


def _curves(known: Sequence[RunsByLength], wider: float) -> CurvePrior:
    values = [np.log(each.shares) for each in known]
    away = [each.from_best_rate() for each in known]
    begin = _numbers(START)

    def cost(theta: Floats) -> float:
        fit = _prior(theta)
        evidence = sum(CurveProcess(*each, fit).log_evidence for each in zip(known, values, away, strict=True))
        return -evidence + 0.5 * float(((theta - begin) ** 2).sum())

    curves = _prior(minimize(cost, begin, method="L-BFGS-B", options={"maxiter": 20}).x)
    bends = np.concatenate([_bends(*each) for each in zip(known, values, strict=True)])
    return replace(
        curves, slope_sd=wider * curves.slope_sd,
        walk_cell=max(curves.walk_cell, float(np.sqrt((bends**2).mean() / 2))) if len(bends) else curves.walk_cell,
    )  # fmt: skip


def _risk(known: Sequence[RunsByLength], wider: float) -> RiskPrior:
    risks = [LateRisk.of(each, UNKNOWN) for each in known]
    shifts = np.array([risk.frontiers.weights @ risk.frontiers.shift for risk in risks])
    late = [late_failures(risk.runs, risk.frontiers) for risk in risks]
    units = np.concatenate([each[1] for each in late])
    away = np.concatenate([risk.runs.settings.learning_rates - risk.frontiers.moved(0.0)[0] for risk in risks])
    failures = np.concatenate([each[0] for each in late], axis=1)
    counts = FEWEST_RUNS + PRIOR_SHARE * sum(band_counts(risk.runs, risk.frontiers) for risk in risks)
    first, second = (_hazard(failures[cause], units, away) for cause in LATE)
    return RiskPrior(
        shift=0.0, shift_sd=wider * float(max(np.sqrt((shifts**2).mean()), SMALLEST_SHIFT_SD)),
        hazards=(first, second), shares=tuple(tuple(round(float(each), 2) for each in band) for band in counts),
    )  # fmt: skip


def _hazard(failures: Floats, units: Floats, away: Floats) -> HazardPrior:
    """What is known of a hazard from all problems, of which each later failure and unit counts for a share."""
    found = LateHazard(failures, units, away, RISE)
    watched = units * np.exp(found.rise * counted_from(away))
    return HazardPrior(
        failures=FEWEST_FAILURES + PRIOR_SHARE * float(failures.sum()), units=1.0 + PRIOR_SHARE * float(watched.sum()),
        rise=found.rise, rise_sd=RISE.rise_sd,
    )  # fmt: skip


def _bends(runs: RunsByLength, values: Floats) -> Floats:
    """How much more the best settings of each cell gain in the second unit of length than in the first."""
    kept = pd.DataFrame({"setting": runs.setting, "steps": runs.steps, "value": values})[~runs.diverged]
    table = kept.pivot_table(index="setting", columns="steps", values="value")[list(BEND)].dropna()
    table = table.iloc[np.argsort(table[BEND[1]].to_numpy(), kind="stable")]
    cells = runs.settings.factors[table.index.to_numpy(), 0]
    best = [table[cells == cell].head(BEST_OF_CELL).to_numpy() for cell in np.unique(cells)]
    return np.array([(each[:, 2] - 2 * each[:, 1] + each[:, 0]).mean() for each in best])


def _numbers(prior: CurvePrior) -> Floats:
    turned = {"across": logit, "slope": float, "tilt": float}
    return np.array([turned.get(name, np.log)(value) for name, value in asdict(prior).items()])


def _prior(theta: Floats) -> CurvePrior:
    turned = {"across": expit, "slope": float, "tilt": float}
    names = [field.name for field in fields(CurvePrior)]
    return CurvePrior(**{name: float(turned.get(name, np.exp)(each)) for name, each in zip(names, theta, strict=True)})
