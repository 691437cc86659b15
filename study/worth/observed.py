"""Settings as numbers, and what the runs of them showed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from gradstudy.study.frontier.likelihood import Floats
from gradstudy.study.frontier.places import Ints

STRATEGY = 1
"""The column of the factors that holds the strategy: thresholds of two strategies share no axis."""
MOST_SETTINGS, OF_EACH_GROUP = 300, 3
"""Settings that the losses are modelled by, and how many of each group are among them at least."""
BIN = 0.5
"""Decades of threshold that share a frontier, as in the report."""


@dataclass(frozen=True)
class Settings:
    """Settings as a model sees them.

    Attributes:
        factors: [n, factors] codes of the cell, the strategy and whatever else is varied, in this order.
        thresholds: [n] in decades, NaN where the strategy has none.
        learning_rates: [n] in decades.
    """

    factors: Ints
    thresholds: Floats
    learning_rates: Floats

    def __len__(self) -> int:
        return len(self.learning_rates)

    def take(self, places: Sequence[int] | NDArray[np.integer] | NDArray[np.bool_]) -> Self:
        """Some of them."""
        return type(self)(self.factors[places], self.thresholds[places], self.learning_rates[places])

    def joined(self, others: Self) -> Self:
        """These, then the others."""
        return type(self)(
            np.concatenate([self.factors, others.factors]),
            np.concatenate([self.thresholds, others.thresholds]),
            np.concatenate([self.learning_rates, others.learning_rates]),
        )

    def at(self, learning_rates: Floats) -> Self:
        """The same with other learning rates, in decades."""
        return type(self)(self.factors, self.thresholds, learning_rates)

    def groups(self) -> Ints:
        """A number [n] for each, the same for those that differ in threshold and learning rate only."""
        group = np.zeros(len(self), np.int64)
        for codes in self.factors.T:  # all at once, NumPy compares bytes of rows, which takes ten times as long
            _, code = np.unique(codes, return_inverse=True)
            _, group = np.unique(group * (len(code) + 1) + code, return_inverse=True)
        return group.astype(np.int64)

    def bins(self) -> Floats:
        """Where each one's half-decade of threshold begins, [n] in decades; NaN where there is none."""
        # Rounded first: an end belongs to the bin that it begins, whatever the last bit of its logarithm.
        return np.asarray(np.floor(np.round(self.thresholds / BIN, 9)) * BIN)


@dataclass(frozen=True)
class Observed:
    """Runs that have ended: trained, stalled or diverged.

    Attributes:
        settings: that were run, [settings].
        setting: [runs] of each run, its place among these.
        diverged: [runs] whether it did.
        margins: [runs] see ``gradstudy.study.frontier.margins``.
        shares: [runs] the validation loss as a share of the untrained model's, at most 1; 1 where it diverged.
        fresh: [runs] whether it was made after its setting had been chosen, to see what it is worth.
    """

    settings: Settings
    setting: Ints
    diverged: NDArray[np.bool_]
    margins: Floats
    shares: Floats
    fresh: NDArray[np.bool_]

    def count(self, which: NDArray[np.bool_]) -> Ints:
        """How many runs [settings] each setting has among those that are marked, [runs]."""
        return np.bincount(self.setting[which], minlength=len(self.settings)).astype(np.int64)

    def restricted(self, places: Ints) -> Self:
        """The runs of some of the settings only, which are numbered as in ``places``."""
        number = np.full(len(self.settings), -1)
        number[places] = np.arange(len(places))
        mine = number[self.setting] >= 0
        return type(self)(
            settings=self.settings.take(places),
            setting=number[self.setting][mine].astype(np.int64),
            diverged=self.diverged[mine],
            margins=self.margins[mine],
            shares=self.shares[mine],
            fresh=self.fresh[mine],
        )

    def strongest(self) -> Ints:
        """The places of the settings that a model of losses is made of.

        These are those that ended lowest, some of each group, and all with fresh runs, whatever their losses.
        """
        shares, _ = self.mean_shares()
        order = np.argsort(np.where(np.isnan(shares), np.inf, shares), kind="stable")
        groups = self.settings.groups()[order]
        rank = np.empty(len(order), np.int64)
        for group in range(int(groups.max(initial=-1)) + 1):
            mine = groups == group
            rank[order[mine]] = np.arange(int(mine.sum()))
        first = (rank < OF_EACH_GROUP) | (self.count(self.fresh) > 0)
        order = order[np.argsort(~first[order], kind="stable")]
        return np.sort(order[: max(MOST_SETTINGS, int(first.sum()))]).astype(np.int64)

    def mean_shares(self) -> tuple[Floats, Ints]:
        """The mean share [settings] of the runs that did not diverge, NaN where there are none, and their number."""
        kept = ~self.diverged & np.isfinite(self.shares)
        runs = self.count(kept)
        total = np.bincount(self.setting[kept], self.shares[kept], len(self.settings))
        return np.where(runs > 0, total / np.maximum(runs, 1), np.nan), runs
