"""What the literature expects of two groups of runs, and whether the runs of a study agree."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

import pandas as pd

from gradstudy.study.spec.factors import FactorValue, shown
from gradstudy.study.statistics.grouping import setting_of
from gradstudy.study.statistics.rates import judged, rate_difference, wilson_interval

Expected = Literal["all and none", "more often", "no difference"]


@dataclass(frozen=True, kw_only=True)
class Group:
    """Some of the runs of a study.

    Attributes:
        name: in words that follow "runs".
        strategies: that the runs have.
        factors: and their values.
    """

    name: str
    strategies: tuple[str, ...]
    factors: Mapping[str, FactorValue] = field(default_factory=lambda: MappingProxyType({}))

    def of(self, trials: pd.DataFrame) -> pd.DataFrame:
        """The group's rows."""
        has_factors = [self.factors.items() <= factors.items() for factors in trials["factors"]]
        return trials[trials["strategy"].isin(self.strategies) & pd.Series(has_factors, index=trials.index, dtype=bool)]


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
    """

    literature: str
    first: Group
    second: Group
    expected: Expected = "more often"
    solved_below: float | None = None
    by: str | None = None

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
        return f"{expects}; found: {found} {verb}, {self._conclusion(*groups)}.{self._details(trials)}"

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
            return "which agrees" if as_expected else "which does not agree"
        less, low, high = rate_difference(_rate_sum(second), len(second), _rate_sum(first), len(first))
        difference = f"a difference of {100 * less:+.0f} points (95% interval {100 * low:+.0f} to {100 * high:+.0f})"
        if low <= 0 <= high:
            as_expected = self.expected == "no difference"  # which a small study cannot but find
            agrees = "which does not contradict it" if as_expected else "which these runs cannot tell from none"
        elif self.expected == "more often" and low > 0:
            agrees = "which agrees"
        else:
            agrees = "which does not agree"
        return f"{difference}, {agrees}"

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


def _rate_sum(settings: pd.DataFrame) -> float:
    return float((settings["happened"] / settings["runs"]).sum())


def _counts(settings: pd.DataFrame) -> str:
    return f"{settings['happened'].sum()} of {settings['runs'].sum()}"


def _interval(settings: pd.DataFrame) -> str:
    low, high = wilson_interval(_rate_sum(settings), len(settings))
    return f"{low:.0%} to {high:.0%}"
