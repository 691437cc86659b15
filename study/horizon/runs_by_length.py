"""Runs of one study of different lengths, as the models of longer training take them."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gradstudy.study.frontier.likelihood import LARGEST_EXACT_MARGIN, Floats
from gradstudy.study.frontier.margins import SMALLEST_VIOLATION
from gradstudy.study.frontier.places import Ints
from gradstudy.study.horizon.causes import causes_of
from gradstudy.study.statistics.grouping import GROUP, SETTING
from gradstudy.study.worth.observed import Observed, Settings
from gradstudy.study.worth.scale import shares, units

FACTOR = 4
"""Of steps, in one unit of length."""


@dataclass(frozen=True)
class RunsByLength:
    """Runs with their settings.

    Attributes:
        table: one row for each setting: ``SETTING`` and ``factors`` in words.
        settings: the same as numbers.
        setting: [n] of each run, its place among these.
        steps: [n] that each was to make.
        lengths: [n] the logarithm of these to the base of ``FACTOR``, 0 for the shortest.
        diverged: [n] whether it did.
        stopped: [n] whether it did before its end, so that it would have in a longer run, too.
        cause: [n] the place in ``CAUSES`` of what it diverged by.
        at: [n] the step at which it did; that of its end where it was only judged there.
        shares: [n] the loss as a share of the untrained model's, 1 where it diverged.
        unit, untrained: [settings] the loss of a setting is ``untrained + (share - 1) * unit``.
    """

    table: pd.DataFrame
    settings: Settings
    setting: Ints
    steps: Ints
    lengths: Floats
    diverged: NDArray[np.bool_]
    stopped: NDArray[np.bool_]
    cause: Ints
    at: Floats
    shares: Floats
    unit: Floats
    untrained: Floats

    @property
    def shortest(self) -> int:
        """Steps of the shortest runs."""
        return int(self.steps.min())

    @property
    def longest(self) -> Ints:
        """Steps [settings] of the longest runs of each setting."""
        found = np.zeros(len(self.table), np.int64)
        np.maximum.at(found, self.setting, self.steps)
        return found

    @property
    def failed_late(self) -> NDArray[np.bool_]:
        """Whether a run [n] diverged after as many steps as the shortest ones have, or was judged only then."""
        return np.asarray(self.diverged & (self.at > self.shortest))

    def units_to(self, steps: int) -> float:
        """Units of length from the shortest runs to a number of steps."""
        return float(np.log(steps / self.shortest) / np.log(FACTOR))

    def groups(self) -> Ints:
        """A number for each setting [settings], the same for those that differ in learning rate only.

        Thresholds of one half-decade are the same, as in the report.
        """
        keys = np.column_stack([self.settings.factors, np.nan_to_num(self.settings.bins(), nan=np.inf)])
        return np.unique(keys, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)

    def from_best_rate(self) -> Floats:
        """Decades [settings] of learning rate above that at which the shortest runs of its group ended lowest."""
        short = self.steps == self.shortest
        size = len(self.table)
        runs = np.bincount(self.setting[short], minlength=size)
        sums = np.bincount(self.setting[short], self.shares[short], size)
        means = np.divide(sums, runs, out=np.full(size, np.inf), where=runs > 0)
        group = self.groups()
        rates = self.settings.learning_rates
        best = np.array(
            [
                rates[mine[np.argmin(means[mine])]]
                for mine in (np.flatnonzero(group == each) for each in range(group.max() + 1))
            ]
        )
        return np.asarray(rates - best[group])

    def up_to(self, steps: int) -> "RunsByLength":
        """Those of at most so many steps."""
        which = self.steps <= steps
        names = ("setting", "steps", "lengths", "diverged", "stopped", "cause", "at", "shares")
        return replace(self, **{name: getattr(self, name)[which] for name in names})

    def shortest_only(self) -> Observed:
        """The shortest runs, as the frontiers of a study take them; of margins they tell no more than the side.

        A run that was stopped is as far above the frontier as one can be.
        """
        which = self.steps == self.shortest
        places, number = np.unique(self.setting[which], return_inverse=True)
        above = np.where(self.stopped, LARGEST_EXACT_MARGIN, SMALLEST_VIOLATION)
        return Observed(
            settings=self.settings.take(places),
            setting=number.astype(np.int64),
            diverged=self.diverged[which],
            margins=np.where(self.diverged, above, 0.0)[which],
            shares=self.shares[which],
            fresh=np.zeros(int(which.sum()), bool),
        )


def runs_by_length(runs: pd.DataFrame, more: pd.DataFrame | None = None) -> RunsByLength:
    """Sort runs by their settings.

    Args:
        runs: see ``gradstudy.study.horizon.prediction.predict``.
        more: settings that need not have any runs; those without come last.
    """
    keys = [*GROUP, "factors", *SETTING[2:]]
    runs = runs.dropna(subset=["learning_rate", "objective", "untrained"]).reset_index(drop=True)
    runs = runs.assign(threshold=runs["threshold"].astype(float))
    setting = runs.groupby(keys, dropna=False, sort=False).ngroup().to_numpy(np.int64)
    table = pd.concat([runs[keys], *([] if more is None else [more[keys]])]).drop_duplicates(ignore_index=True)
    codes = [pd.factorize(table[name])[0] for name in (*GROUP, "factors")]
    decades = np.log10(table[SETTING[2:]].to_numpy(float))
    steps, untrained = runs["steps"].to_numpy(np.int64), runs["untrained"].to_numpy(float)
    diverged = (runs["outcome"] == "diverged").to_numpy()
    losses = np.where(diverged, untrained, runs["objective"].to_numpy(float))
    at = runs["diverged_at_step"].astype(float).to_numpy()
    of_settings = pd.DataFrame({"unit": units(losses, untrained), "untrained": untrained}).groupby(setting).mean()
    of_settings = of_settings.reindex(range(len(table))).fillna(of_settings.mean())
    return RunsByLength(
        table=table,
        settings=Settings(np.stack(codes, 1).astype(np.int64), decades[:, 0], decades[:, 1]),
        setting=np.asarray(setting, np.int64),
        steps=steps,
        lengths=np.log(steps / steps.min()) / np.log(FACTOR) if len(steps) else steps.astype(float),
        diverged=diverged,
        stopped=diverged & ~np.isnan(at),
        cause=causes_of(runs),
        at=np.where(np.isnan(at), steps, at),
        shares=shares(losses, untrained),
        unit=of_settings["unit"].to_numpy(),
        untrained=of_settings["untrained"].to_numpy(),
    )
