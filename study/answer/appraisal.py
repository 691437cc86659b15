"""What the settings of a study are worth by its runs."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from gradstudy.study.answer.observation import Observation
from gradstudy.study.statistics.grouping import GROUP, is_varied
from gradstudy.study.statistics.metrics import metric_columns
from gradstudy.study.worth.risk import Risk
from gradstudy.study.worth.usable_rates import UsableRates, usable_rates
from gradstudy.study.worth.worth import WorthModel


class Appraisal:
    """The settings that were run, or the strongest of very many, and what they are worth.

    Attributes:
        observation: the runs by setting.
        settings: those that may be the answer, as ``Observation`` has them.
        model: of what settings are worth; None where no run was kept.
        worth: of ``settings``; None like the model.
    """

    def __init__(self, runs: pd.DataFrame) -> None:
        """Fit the models.

        Args:
            runs: rows of ``trial_result`` with the column ``fresh``, see ``mark_fresh``.
        """
        self.observation = Observation(runs)
        observed = self.observation.observed
        strongest = observed.strongest()
        self.settings = self.observation.settings.iloc[strongest]
        self.observed = observed.restricted(strongest)
        self.model = WorthModel(self.observed, Risk(observed)) if WorthModel.can_be_made(self.observed) else None
        self.worth = None if self.model is None else self.model.of_observed()

    def loss(self, place: int, share: float) -> float:
        """A share as a loss in the unit of one of the settings."""
        row = self.settings.iloc[place]
        return float(row["untrained"] + (share - 1) * row["unit"])

    def usable_rates(self, place: int) -> UsableRates:
        """The usable learning rates of the cell, strategy and threshold of one of the settings."""
        assert self.model is not None
        settings = self.observed.settings
        rates = settings.learning_rates[settings.groups() == settings.groups()[place]]
        return usable_rates(self.model, settings.take([place]), (float(rates.min()), float(rates.max())))

    def by_group(self) -> pd.DataFrame:
        """The best setting of each cell, strategy and choice of factors.

        Returns:
            ``cell``, ``strategy``, ``factors`` in words where any are varied; ``expected_loss``, J of the best setting
            of the group by the model, which does not take the luck of a run for worth; ``usable_decades`` with
            ``usable_low`` and ``usable_high``: how many decades of learning rate are within 2% of the untrained loss of
            the best one at that setting's threshold, with the 95% interval.
        """
        settings, worth = self.settings, self.worth
        keys = self._keys
        columns = ["expected_loss", "usable_decades", "usable_low", "usable_high"]
        rows = []
        for best in self._best_of_groups():
            assert worth is not None
            rates = self.usable_rates(best)
            found = (rates.width, rates.width_low, rates.width_high)
            rows.append((*settings[keys].iloc[best], self.loss(best, float(worth.expected[best])), *found))
        return pd.DataFrame(rows, columns=[*keys, *columns])

    def metrics(self) -> pd.DataFrame:
        """What the best setting of each group measured beside the loss.

        Returns:
            ``cell``, ``strategy``, ``factors`` in words where any are varied, ``threshold``, ``learning_rate``;
            ``runs`` of the setting that did not diverge, the mean ``validation_loss`` of these, and that of each
            metric, see ``with_metrics``. Without rows where no run measured any.
        """
        runs = self.observation.runs
        columns = ["validation_loss", *metric_columns(runs)]
        if len(columns) == 1:
            return pd.DataFrame()
        rows = []
        for best in self._best_of_groups():
            setting = self.settings.iloc[best]
            kept = runs[(runs["setting"] == self.settings.index[best]) & ~runs["lost"]]
            rows.append((*setting[[*self._keys, "threshold", "learning_rate"]], len(kept), *kept[columns].mean()))
        return pd.DataFrame(rows, columns=[*self._keys, "threshold", "learning_rate", "runs", *columns])

    @property
    def _keys(self) -> list[str]:
        return [*GROUP, "factors"] if is_varied(self.settings) else GROUP

    def _best_of_groups(self) -> Iterator[int]:
        """The place of the best setting of each group that has one."""
        settings, worth, keys = self.settings, self.worth, self._keys
        if worth is None:
            return
        rated = np.where(settings["trained"] > 0, worth.rating, np.inf)
        groups = settings.groupby(keys).ngroup().to_numpy()
        for group in range(int(groups.max(initial=-1)) + 1):
            in_group = np.where(groups == group, rated, np.inf)
            best = int(np.argmin(in_group))
            if np.isfinite(in_group[best]):
                yield best
