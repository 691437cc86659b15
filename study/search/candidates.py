"""Settings that might be run next, many at once: spread over the space, and around the best ones."""

from functools import partial
from itertools import product

import numpy as np

from gradstudy.study.frontier.likelihood import Floats
from gradstudy.study.frontier.prior import Readings
from gradstudy.study.frontier.readings import Named, readings
from gradstudy.study.search.space import Setting
from gradstudy.study.spec.axis import Range, ValueList, ends, half_decades, listed
from gradstudy.study.spec.factors import in_order
from gradstudy.study.spec.parts import Like
from gradstudy.study.spec.study_spec import StudySpec
from gradstudy.study.worth.observed import STRATEGY, Settings

SPREAD = 2048
AROUND_EACH = 40
THRESHOLD_SD, RATE_SD = 0.25, 0.15
"""Decades from a setting within which others are drawn around it."""
LAST_BIN = 1e-6
"""Decades below the end of a range of thresholds, which begins a bin of its own."""


class Candidates:
    """Draws settings of a space, as numbers."""

    def __init__(self, spec: StudySpec) -> None:
        space = spec.space
        self._spec = spec
        self._names = sorted(space.factors)
        self._sizes = [len(space.cells), len(space.strategies), *(len(space.factors[name]) for name in self._names)]
        ranges = [space.threshold_range(strategy) or (np.nan, np.nan) for strategy in space.strategies]
        self._thresholds = np.log10(np.array(ranges, float)) - np.array([0.0, LAST_BIN])
        low, high = ends(space.learning_rate)
        self._rates = float(np.log10(low)), float(np.log10(high))
        self._listed_rates = _decades(listed(space.learning_rate))
        self._axes = [space.threshold_axis(strategy) for strategy in space.strategies]
        self._listed_thresholds = [None if axis is None else _decades(listed(axis)) for axis in self._axes]
        self._has_lists = self._listed_rates is not None or any(v is not None for v in self._listed_thresholds)
        self.everywhere = self._of_each_frontier()
        """One setting of each frontier of the space."""
        self.like = None if spec.like is None else partial(self._readings, spec.like)
        """What another study found, see ``Read``."""

    def _readings(self, like: Like, keys: Floats, middle: float) -> Readings:
        space, named = self._spec.space, []
        for *codes, start in keys:
            cell, strategy, *others = map(int, codes)
            factors = {name: space.factors[name][code] for name, code in zip(self._names, others, strict=True)}
            half = None if np.isnan(start) else round(2 * start)
            named.append(Named(space.cells[cell], space.strategies[strategy], half, factors))
        return readings(like, named, middle)

    def _of_each_frontier(self) -> Settings:
        codes, thresholds = [], []
        for group in product(*(range(size) for size in self._sizes)):
            axis = self._axes[group[STRATEGY]]
            starts = [np.nan] if axis is None else half_decades(axis)
            codes += [group] * len(starts)
            thresholds += starts
        rates = np.resize(self._rates, len(codes))  # both ends are among them
        return Settings(np.array(codes, np.int64), np.array(thresholds, float), rates)

    def draw(self, best: Settings, random: np.random.Generator) -> Settings:
        """Some spread over the whole space, then some around each of the best ones."""
        factors = np.stack([random.integers(size, size=SPREAD) for size in self._sizes], 1)
        low, high = self._thresholds[factors[:, STRATEGY]].T
        thresholds = low + random.random(SPREAD) * (high - low)
        rates = random.uniform(*self._rates, SPREAD)
        return self._of_the_space(Settings(factors, thresholds, rates).joined(self._around(best, random)))

    def _of_the_space(self, drawn: Settings) -> Settings:
        """The settings drawn, at the nearest values where the space has values, each once."""
        if not self._has_lists:
            return drawn
        thresholds, rates = drawn.thresholds.copy(), _nearest(drawn.learning_rates, self._listed_rates)
        for strategy, values in enumerate(self._listed_thresholds):
            mine = drawn.factors[:, STRATEGY] == strategy
            thresholds[mine] = _nearest(thresholds[mine], values)
        rows = np.column_stack([drawn.factors, np.nan_to_num(thresholds), rates])
        _, kept = np.unique(rows, axis=0, return_index=True)
        return Settings(drawn.factors, thresholds, rates).take(np.sort(kept))

    def _around(self, best: Settings, random: np.random.Generator) -> Settings:
        centres = best.take(np.repeat(np.arange(len(best)), AROUND_EACH))
        low, high = self._thresholds[centres.factors[:, STRATEGY]].T
        thresholds = centres.thresholds + random.normal(0, THRESHOLD_SD, len(centres))
        rates = centres.learning_rates + random.normal(0, RATE_SD, len(centres))
        return Settings(centres.factors, np.clip(thresholds, low, high), np.clip(rates, *self._rates))

    def setting(self, settings: Settings, place: int) -> Setting:
        """One of them by its names."""
        space = self._spec.space
        codes = settings.factors[place]
        strategy = space.strategies[codes[STRATEGY]]
        axis = self._axes[codes[STRATEGY]]
        values = {name: space.factors[name][code] for name, code in zip(self._names, codes[2:], strict=True)}
        return Setting(
            cell=space.cells[codes[0]],
            strategy=strategy,
            threshold=None if axis is None else _within(settings.thresholds[place], axis),
            learning_rate=_within(settings.learning_rates[place], space.learning_rate),
            factors=in_order(values),
        )


def _decades(values: tuple[float, ...] | None) -> Floats | None:
    return None if values is None else np.log10(values)


def _nearest(decades: Floats, values: Floats | None) -> Floats:
    """The nearest of the values, where there are any."""
    if values is None:
        return decades
    return np.asarray(values[np.abs(decades[:, None] - values).argmin(1)])


def _within(decade: Floats | float, axis: Range | ValueList) -> float:
    """A number by its decade; rounding leaves no range."""
    low, high = ends(axis)
    return float(min(max(10.0 ** float(decade), low), high))
