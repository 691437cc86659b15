"""What the literature expects of two groups of runs, and whether the runs of a study agree."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import log
from types import MappingProxyType
from typing import Literal

import pandas as pd

from gradstudy.study.literature.power import POWER, smallest_difference, smallest_margin, smallest_share
from gradstudy.study.spec.axis import ends, listed
from gradstudy.study.spec.factors import FactorValue, shown
from gradstudy.study.spec.parts import SearchSpace
from gradstudy.study.statistics.grouping import setting_of
from gradstudy.study.statistics.rates import judged, rate_difference, wilson_interval

Expected = Literal["all and none", "more often", "no difference"]
Word = Literal["agrees", "contradicts it", "cannot be told apart"]

WORTH_SEEING = 0.2
"""A difference of rates: over two decades of learning rate it is a frontier that is 2.5 times as high."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """Some of the runs of a study.

    Attributes:
        name: in words that follow "runs".
        strategies: that the runs have.
        factors: and their values.
        learning_rates: from which to below which; None for all.
    """

    name: str
    strategies: tuple[str, ...]
    factors: Mapping[str, FactorValue] = field(default_factory=lambda: MappingProxyType({}))
    learning_rates: tuple[float, float] | None = None

    def of(self, trials: pd.DataFrame) -> pd.DataFrame:
        """The group's rows."""
        has_factors = [self.factors.items() <= factors.items() for factors in trials["factors"]]
        inside = trials["strategy"].isin(self.strategies) & pd.Series(has_factors, index=trials.index, dtype=bool)
        if self.learning_rates is not None:
            inside &= trials["learning_rate"].between(*self.learning_rates, inclusive="left")
        return trials[inside]

    def size(self, space: SearchSpace, settings: int) -> int:
        """About how many of a study's settings, which are spread evenly over its space, are in the group."""
        share = sum(strategy in self.strategies for strategy in space.strategies) / len(space.strategies)
        for factor in self.factors:
            share /= len(space.factors[factor])
        if self.learning_rates is not None:
            (low, high), tried = self.learning_rates, listed(space.learning_rate)
            if tried is not None:
                share *= sum(low <= rate < high for rate in tried) / len(tried)
            else:
                least, most = ends(space.learning_rate)
                share *= log(min(high, most) / max(low, least)) / log(most / least)
        return int(settings * share)


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """An expectation about how often something happens in two groups of runs.

    Attributes:
        literature: what is expected, in words that follow "The literature expects".
        first: the group in which it happens, or happens more often.
        second: the other one.
        expected: that it happens in all runs of the first and in none of the second; more often in the first; or that
            there is no difference.
        solved_below: the validation loss below which a run has solved its task: then that is what happens. None where
            it is divergence.
        by: the factor for each of whose values the runs are counted, too.
        worth_seeing: the difference that matters: a smaller one is as good as none.
    """

    literature: str
    first: Group
    second: Group
    expected: Expected = "more often"
    solved_below: float | None = None
    by: str | None = None
    worth_seeing: float = WORTH_SEEING

    def verdict(self, trials: pd.DataFrame) -> str:
        """One sentence: what is expected, what was found, and whether it agrees.

        Rates have Wilson's intervals and their difference Newcombe's, all of 95%; a setting counts once, however many
        runs it had.

        Args:
            trials: rows of ``trial_result``.
        """
        groups = [self._happened(group.of(judged(trials))) for group in (self.first, self.second)]
        expects = f"The literature expects {self.literature}"
        if any(group.empty for group in groups):
            return f"{expects}; there are no runs to compare."
        found = " and ".join(
            f"{_counts(happened)} runs {group.name} ({_interval(happened)})"
            for group, happened in zip((self.first, self.second), groups, strict=True)
        )
        verb = "diverged" if self.solved_below is None else "solved the task"
        return f"{expects}; found: {found} {verb}{self._conclusion(*groups)}.{self._details(trials)}"

    def smallest(self, first: int, second: int) -> float:
        """What so many settings of the groups show with a probability of ``POWER``.

        That is a difference; where none is expected, a margin within which there is none; where all and none are, the
        share of exceptions.
        """
        match self.expected:
            case "more often":
                return smallest_difference(first, second)
            case "no difference":
                return smallest_margin(first, second)
            case "all and none":
                return max(smallest_share(first), smallest_share(second))

    def power_in_words(self, first: int, second: int) -> str:
        """What so many settings of the groups show, as a clause without its subject."""
        smallest = f"{100 * self.smallest(first, second):.0f}"
        what = {
            "more often": f"a difference of {smallest} points",
            "no difference": f"no difference to within {smallest} points, if there is none,",
            "all and none": f"exceptions, if they are {smallest}% of the runs,",
        }[self.expected]
        return f"show {what} with a probability of {POWER:.0%}"

    def _happened(self, runs: pd.DataFrame) -> pd.DataFrame:
        """How often it ``happened`` over the ``runs`` of each setting."""
        if self.solved_below is None:
            happened = runs["outcome"] == "diverged"
        else:
            happened = (runs["outcome"] == "trained") & (runs["validation_loss"] < self.solved_below)
        table = runs.assign(setting=setting_of(runs), happened=happened)
        return table.groupby("setting", as_index=False).agg(happened=("happened", "sum"), runs=("happened", "size"))

    def _conclusion(self, first: pd.DataFrame, second: pd.DataFrame) -> str:
        if self.expected == "all and none":
            as_expected = first["happened"].sum() == first["runs"].sum() and second["happened"].sum() == 0
            return f": this {_word(agrees=as_expected, contradicts=not as_expected)}"
        less, low, high = rate_difference(_rate_sum(second), len(second), _rate_sum(first), len(first))
        margin = self.worth_seeing
        if self.expected == "more often":
            word = _word(agrees=low > 0, contradicts=high < margin)
        else:
            word = _word(agrees=-margin < low and high < margin, contradicts=low > margin or high < -margin)
        said = (
            f", a difference of {100 * less:+.0f} points (95% interval {100 * low:+.0f} to {100 * high:+.0f}): "
            f"this {word}"
        )
        if word == "cannot be told apart":
            return f"{said}, as {len(first)} and {len(second)} settings {self.power_in_words(len(first), len(second))}"
        if word == "contradicts it" and high > 0 and self.expected == "more often":
            return f"{said}, as less than {100 * margin:.0f} points are not worth seeing"
        return said

    def _details(self, trials: pd.DataFrame) -> str:
        """The counts for each value of the factor ``by``."""
        if self.by is None:
            return ""
        runs = judged(trials)
        values = pd.Series([factors.get(self.by) for factors in runs["factors"]], index=runs.index, dtype=object)
        parts = []
        for value in sorted(values.dropna().unique()):
            first, second = (self._happened(group.of(runs[values == value])) for group in (self.first, self.second))
            parts.append(f"{self.by} {shown(value)} {_counts(first)} and {_counts(second)}")
        return f" By {self.by}: {', '.join(parts)}." if parts else ""


def _word(*, agrees: bool, contradicts: bool) -> Word:
    if agrees:
        return "agrees"
    return "contradicts it" if contradicts else "cannot be told apart"


def _rate_sum(settings: pd.DataFrame) -> float:
    return float((settings["happened"] / settings["runs"]).sum())


def _counts(settings: pd.DataFrame) -> str:
    return f"{settings['happened'].sum()} of {settings['runs'].sum()}"


def _interval(settings: pd.DataFrame) -> str:
    low, high = wilson_interval(_rate_sum(settings), len(settings))
    return f"{low:.0%} to {high:.0%}"
