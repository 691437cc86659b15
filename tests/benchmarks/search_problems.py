"""What samplers are judged on: problems whose frontiers are known and whose trials cost nothing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import optuna
import pandas as pd
from numpy.typing import NDArray
from reference_map import Map
from scipy.optimize import brentq, isotonic_regression
from scipy.special import expit

from gradstudy.storage.bins import half_decade
from gradstudy.study.divergence import DivergenceMonitor, Verdict
from gradstudy.study.frontier.likelihood import ACCEPTED_RISK
from gradstudy.study.search.space import suggest
from gradstudy.study.spec.study_spec import StudySpec

Floats = NDArray[np.float64]
Row = dict[str, Any]
"""A row of ``trial_result``."""
Column = tuple[str, str, float | None]
"""Cell, strategy, bin of the threshold."""

INITIAL_LOSS = 3.0
BLOW_UP = float(np.log(5.0))
STEPS = 200
THRESHOLDS_OF_A_BIN = 41


@dataclass(frozen=True)
class Point:
    """Where a trial is."""

    cell: str
    strategy: str
    threshold: float | None
    learning_rate: float


@dataclass(frozen=True)
class Worth:
    """What a setting is worth in truth.

    Attributes:
        loss: J, the mean validation loss of its runs, of which a diverged one counts as untrained.
        risk: the share of them that diverge.
    """

    loss: float
    risk: float


class Problem:
    """A search space with known frontiers."""

    name: str
    spec: StudySpec

    def suggest(self, trial: optuna.Trial) -> Point:
        """Ask for a setting."""
        setting = suggest(trial, self.spec)
        return Point(setting.cell, setting.strategy, setting.threshold, setting.learning_rate)

    def run(self, point: Point, random: np.random.Generator) -> Row:
        """Try a setting: margin, outcome, reason, steps and losses."""
        raise NotImplementedError

    def worth(self, point: Point) -> Worth:
        """What a setting is worth; losses are in units in which an untrained model's is ``INITIAL_LOSS``."""
        raise NotImplementedError

    @property
    def truth(self) -> dict[Column, float]:
        """The frontier of each bin, in decades of learning rate."""
        raise NotImplementedError


def columns(spec: StudySpec) -> list[Column]:
    """Every cell and strategy with each half-decade of its threshold."""
    found: list[Column] = []
    for cell in spec.space.cells:
        for strategy in spec.space.strategies:
            bounds = spec.space.threshold_range(strategy)
            if bounds is None:
                found.append((cell, strategy, None))
            else:
                low, high = np.floor(2 * np.log10(bounds[0]) + 1e-9), np.ceil(2 * np.log10(bounds[1]) - 1e-9)
                found += [(cell, strategy, half_decade(10 ** (half / 2))) for half in np.arange(low, high)]
    return found


def thresholds_of(spec: StudySpec, column: Column) -> list[float | None]:
    """Thresholds spread evenly over a bin, where it lies within the range."""
    _, strategy, edge = column
    bounds = spec.space.threshold_range(strategy)
    if edge is None or bounds is None:
        return [None]
    low, high = max(np.log10(edge), np.log10(bounds[0])), min(np.log10(edge) + 0.5, np.log10(bounds[1]))
    return [float(10**decade) for decade in np.linspace(low, high, 2 * THRESHOLDS_OF_A_BIN + 1)[1::2]]


def ended(margin: float, kept_margin: float, steps: int) -> Row:
    """The row of a run whose loss ended at a margin; ``kept_margin`` is that of one that did not diverge."""
    if margin > 0:
        reason = "blow_up" if margin >= BLOW_UP else "no_recovery"
        return {"margin": margin, "outcome": "diverged", "reason": reason, "steps": steps, "validation_loss": np.nan}
    loss = INITIAL_LOSS * np.exp(kept_margin)
    outcome = "stalled" if kept_margin > np.log(0.99) else "trained"
    return {"margin": kept_margin, "outcome": outcome, "reason": None, "steps": steps, "validation_loss": loss}


class SimulatedEdges(Problem):
    """Edges of a shape, with P(diverged) = expit(slope * (decade - edge)) at each threshold.

    The latent margin rises by ``RISE`` nats a decade with logistic noise. The loss is lowest 0.7 decades below the edge
    and differs from group to group.
    """

    RISE = 3.5

    def __init__(self, shape: str, slope: float) -> None:
        self.name = f"{shape}, slope {slope:g}"
        self._slope = slope
        self._edge = SHAPES[shape]
        self.spec = StudySpec.model_validate({
            "name": "simulated", "steps": STEPS,
            "space": {"strategies": ["none", "norm", "value"], "learning_rate": [1e-2, 1e2],
                      "thresholds": {"norm": [0.01, 9.99], "value": [0.001, 0.999]}},
        })  # fmt: skip

    def edge(self, point: Point) -> float:
        """In decades."""
        base = {"lstm": 0.5, "gru": 0.2}[point.cell] + {"none": 0.0, "norm": 0.1, "value": -0.1}[point.strategy]
        if point.threshold is None:
            return base
        low, high = np.log10(self.spec.space.threshold_range(point.strategy) or (1, 1))
        return base + float(self._edge((np.log10(point.threshold) - low) / (high - low)))

    def run(self, point: Point, random: np.random.Generator) -> Row:
        below = np.log10(point.learning_rate) - self.edge(point)
        margin = self.RISE * (below + random.logistic() / self._slope)
        worth = {"none": 0.7, "norm": 1.0, "value": 0.85}[point.strategy] + {"lstm": 0.1, "gru": 0.0}[point.cell]
        valley = -worth * np.exp(-0.5 * ((below + 0.7) / 0.8) ** 2) + random.normal(0, 0.03)
        steps = STEPS if margin < BLOW_UP else max(3, int(STEPS * np.exp(-(margin - BLOW_UP))))
        return ended(min(margin, 10.0), min(max(margin, valley), -1e-3), steps)

    @cached_property
    def truth(self) -> dict[Column, float]:
        found = {}
        for column in columns(self.spec):
            edges = np.array([self.edge(Point(column[0], column[1], c, 1.0)) for c in thresholds_of(self.spec, column)])

            def excess(decade: float, edges: Floats = edges) -> float:
                return float(expit(self._slope * (decade - edges)).mean()) - ACCEPTED_RISK

            found[column] = float(brentq(excess, -10, 10))
        return found


SHAPES: dict[str, Callable[[float], float]] = {
    "flat": lambda share: 0.0,
    "falling": lambda share: 1.0 - 1.5 * share,
    "curved": lambda share: 0.6 * np.cos(np.pi * share) - 0.3 * share,
    "knee": lambda share: max(0.0, 1.2 - 2.4 * share),
}
"""Edges over the share of the threshold's range, in decades of learning rate."""


class Quadratic(Problem):
    """Gradient descent on quadratics, which diverges at learning rates above 2 / lambda_max.

    It is anybody's Optuna study: the factor and the name of the learning rate are not gradstudy's.
    """

    name = "quadratic"
    CURVATURES = (0.02, 0.1, 0.5, 2.0, 10.0, 50.0)
    DIMENSIONS = 10
    LENGTH = 400

    def suggest(self, trial: optuna.Trial) -> Point:
        curvature = trial.suggest_categorical("curvature", self.CURVATURES)
        return Point("quadratic", f"{curvature:g}", None, trial.suggest_float("eta", 1e-3, 1e3, log=True))

    def run(self, point: Point, random: np.random.Generator) -> Row:
        curvatures = np.geomspace(0.01, 1, self.DIMENSIONS) * float(point.strategy)
        start = random.normal(size=self.DIMENSIONS)
        growth = np.log(np.maximum(np.abs(1 - point.learning_rate * curvatures), 1e-30))
        energy = np.log(0.5 * curvatures * start**2)
        with np.errstate(over="ignore"):
            losses = np.exp(energy + 2 * growth * np.arange(self.LENGTH)[:, None]).sum(1)
        monitor = DivergenceMonitor(float(losses[0]), loss="mse")
        verdict = monitor.observe_all(losses, np.ones(self.LENGTH)) or monitor.finish()
        return {"steps": monitor.steps, "margin": self._margin(monitor, verdict), "outcome": verdict.outcome,
                "reason": verdict.reason, "validation_loss": monitor.smoothed_loss}  # fmt: skip

    @staticmethod
    def _margin(monitor: DivergenceMonitor, verdict: Verdict) -> float:
        margin = float(np.nan_to_num(monitor.margin, nan=10.0, posinf=10.0))
        return min(max(margin, 1e-9), 10.0) if verdict.outcome == "diverged" else max(min(margin, 0.0), -10.0)

    @property
    def truth(self) -> dict[Column, float]:
        return {("quadratic", f"{c:g}", None): float(np.log10(2 / c)) for c in self.CURVATURES}


class NoisyEdges(Problem):
    """Edges so noisy, with optima so near them, that the best loss is no safe setting; 5% of runs diverge anywhere.

    P(diverged) = 0.05 + 0.95 expit(slope * (decade - edge)), with slopes of 3 to 8 and an optimum at most 0.2 decades
    below the edge.
    """

    LAPSE = 0.05
    name = "noisy edges"

    def __init__(self) -> None:
        random = np.random.default_rng(0)
        self.spec = StudySpec.model_validate({
            "name": "noisy", "steps": STEPS,
            "space": {"strategies": ["none", "norm", "value"], "learning_rate": [1e-2, 1e2],
                      "thresholds": {"norm": [0.01, 10.0], "value": [0.001, 1.0]}},
        })  # fmt: skip
        groups = [(cell, strategy) for cell in self.spec.space.cells for strategy in self.spec.space.strategies]
        self._slope = {group: random.uniform(3, 8) for group in groups}
        self._below = {group: random.uniform(0.05, 0.2) for group in groups}
        self._tilt = {group: random.uniform(-1.2, -0.3) for group in groups}
        self._peak = {group: random.uniform(0.2, 0.8) for group in groups}

    def _shape(self, point: Point) -> tuple[float, float, float]:
        """Decades above the edge, P(diverged) and the loss of runs that do not diverge, as a share of untrained."""
        group = point.cell, point.strategy
        edge = {"lstm": 0.5, "gru": 0.2}[point.cell] + {"none": 0.0, "norm": 0.1, "value": -0.1}[point.strategy]
        worth = {"lstm": 0.08, "gru": 0.0}[point.cell] + {"none": 0.45, "norm": 0.62, "value": 0.55}[point.strategy]
        bounds = self.spec.space.threshold_range(point.strategy)
        if bounds is not None and point.threshold is not None:
            share = np.log(point.threshold / bounds[0]) / np.log(bounds[1] / bounds[0])
            edge += self._tilt[group] * (2 * share - 1)
            worth *= np.exp(-0.5 * ((share - self._peak[group]) / 0.6) ** 2)
        above = float(np.log10(point.learning_rate)) - edge
        off = above + self._below[group]
        loss = 1 - worth * np.exp(-0.5 * (off / (0.8 if off < 0 else 0.35)) ** 2)
        return above, float(self.LAPSE + (1 - self.LAPSE) * expit(self._slope[group] * above)), float(loss)

    def run(self, point: Point, random: np.random.Generator) -> Row:
        above, risk, loss = self._shape(point)
        if random.random() < risk:
            noise = abs(random.logistic()) / self._slope[point.cell, point.strategy]
            return ended(min(SimulatedEdges.RISE * (noise + max(0.0, above)) + 1e-9, 10.0), 0.0, STEPS)
        share = np.clip(loss + random.normal(0, 0.015 + 0.05 * np.exp(2 * min(above, 0.0))), 0.02, 0.999)
        return ended(-1.0, float(np.log(share)), STEPS)

    def worth(self, point: Point) -> Worth:
        _, risk, loss = self._shape(point)
        return Worth(INITIAL_LOSS * (risk + (1 - risk) * loss), risk)


class ReferenceMap(Problem):
    """Runs that were trained: see ``reference_map.py``.

    A setting is answered with a run from the middle of its half-decade of threshold, moved along the edge: as far from
    the edge at its own threshold, where edges are interpolated between the middles, as it is at its own.
    """

    def __init__(self, reference: Map) -> None:
        self.name = f"{reference.spec.task}, trained"
        self.spec = reference.spec
        self._window = reference.step + 1e-3  # decades of learning rate on each side from which a run is drawn
        table = pd.read_csv(reference.file)
        table["decade"] = np.log10(table["learning_rate"])
        table["margin"] = np.log(table["final_loss"] / table["initial_loss"])
        self._runs = {
            self._column(*key): group.reset_index(drop=True)
            for key, group in table.groupby(["cell", "strategy", "threshold_bin"], dropna=False)
        }
        self._rates = {column: _monotone_rate(group) for column, group in self._runs.items()}
        self._middles = {column: _crossing(*rate, 0.5) for column, rate in self._rates.items()}

    @staticmethod
    def _column(cell: str, strategy: str, threshold_bin: float) -> Column:
        return cell, strategy, None if np.isnan(threshold_bin) else half_decade(threshold_bin * 1.001)

    def _place(self, point: Point) -> tuple[Column, float]:
        """The column whose runs answer for a point, and how far its edge lies from that column's, in decades."""
        if point.threshold is None:
            return (point.cell, point.strategy, None), 0.0
        group = point.cell, point.strategy
        bins = sorted(bin_ for cell, strategy, bin_ in self._runs if (cell, strategy) == group and bin_)
        # The end of a range begins a bin of its own, which nothing was trained in.
        column = (*group, min(half_decade(point.threshold) or 0.0, bins[-1]))
        edges = [self._middles[(point.cell, point.strategy, bin_)] for bin_ in bins]
        edge = _interpolated(np.log10(point.threshold), np.log10(bins) + 0.25, np.array(edges))
        return column, edge - self._middles[column]

    def run(self, point: Point, random: np.random.Generator) -> Row:
        runs = self._like(point)
        row = runs.iloc[int(random.integers(len(runs)))]
        margin = max(row["margin"], 1e-9) if row["outcome"] == "diverged" else min(row["margin"], 0.0)
        loss = row["validation_loss"] * INITIAL_LOSS / row["initial_validation_loss"]
        return {"margin": margin, "validation_loss": loss, **row[["outcome", "reason", "steps"]].to_dict()}

    def _like(self, point: Point) -> pd.DataFrame:
        """The runs that answer for a point."""
        column, moved = self._place(point)
        runs = self._runs[column]
        decades = runs["decade"].to_numpy()
        decade = np.clip(np.log10(point.learning_rate) - moved, decades.min(), decades.max())
        return runs[np.abs(decades - decade) <= self._window]

    def worth(self, point: Point) -> Worth:
        runs = self._like(point)
        lost = runs["outcome"] == "diverged"
        untrained = runs["initial_validation_loss"]
        loss = np.minimum(runs["validation_loss"].where(~lost, untrained), untrained) * (INITIAL_LOSS / untrained)
        return Worth(float(loss.mean()), float(lost.mean()))

    @cached_property
    def truth(self) -> dict[Column, float]:
        found = {}
        for column, (decades, rate) in self._rates.items():
            points = [Point(column[0], column[1], c, 1.0) for c in thresholds_of(self.spec, column)]
            moved = np.array([self._place(point)[1] for point in points])
            fine = np.arange(decades[0], decades[-1], 0.01)
            mixed = np.mean([np.interp(fine - shift, decades, rate) for shift in moved], axis=0)
            found[column] = _crossing(fine, mixed, ACCEPTED_RISK)
        return found


def _monotone_rate(runs: pd.DataFrame) -> tuple[Floats, Floats]:
    """The divergence rate over the decades of learning rate, made to rise (Barlow 1972)."""
    rate = (runs["outcome"] == "diverged").groupby(runs["decade"].round(3)).mean()
    return rate.index.to_numpy(float), np.asarray(isotonic_regression(rate.to_numpy(float)).x)


def _crossing(decades: Floats, rate: Floats, level: float) -> float:
    below = np.flatnonzero(rate < level)
    if not len(below):
        return float(decades[0])
    last = int(below[-1])
    if last + 1 == len(rate):
        return float(decades[-1])
    share = (level - rate[last]) / (rate[last + 1] - rate[last])
    return float(decades[last] + share * (decades[last + 1] - decades[last]))


def _interpolated(place: float, places: Sequence[float], values: Floats) -> float:
    """Linear, also beyond the ends."""
    left = int(np.clip(np.searchsorted(places, place) - 1, 0, len(places) - 2))
    share = (place - places[left]) / (places[left + 1] - places[left])
    return float(values[left] + share * (values[left + 1] - values[left]))
