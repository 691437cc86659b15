"""The runs of a report by their settings, as the model of what settings are worth takes them."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from gradstudy.study.frontier.margins import NON_FINITE, bounded_margins
from gradstudy.study.statistics.grouping import (
    GROUP,
    SETTING,
    all_values,
    in_words,
    searched_in_words,
    searched_values,
    setting_of,
)
from gradstudy.study.statistics.metrics import METRIC, metric_columns, with_metrics
from gradstudy.study.statistics.rates import judged
from gradstudy.study.worth.observed import Observed, Settings
from gradstudy.study.worth.proof import PROOF_RUNS
from gradstudy.study.worth.scale import shares, units

CHOOSING_SAMPLER = "auto"
"""The sampler that runs settings again after it has chosen them."""


def mark_fresh(trials: pd.DataFrame, sampler: str, seeds: int, confirming: pd.DataFrame | None = None) -> pd.DataFrame:
    """The trials of a study and of its confirmation with a column ``fresh``: whether a run had no part in the search.

    Args:
        trials: rows of ``trial_result`` of the study.
        sampler: of the study.
        seeds: how many runs each setting of the search has.
        confirming: rows of ``trial_result`` of its confirmation.
    """
    runs = trials.assign(fresh=False)
    if sampler == CHOOSING_SAMPLER and len(runs):
        number = runs["number"].groupby(setting_of(runs)).rank(method="first")
        runs["fresh"] = number > seeds
    # Nobody chose among the few settings of such a grid by their runs, and each has enough to speak for itself.
    if sampler == "grid" and seeds >= PROOF_RUNS and len(set(runs["learning_rate"])) == 1:
        runs["fresh"] = True
    if confirming is None or confirming.empty:
        return runs
    return pd.concat([runs, confirming.assign(fresh=True, number=-1 - confirming["number"])], ignore_index=True)


class Observation:
    """What runs show.

    Attributes:
        runs: that were judged, with ``fresh`` and ``setting``, the number of its setting.
        settings: one row for each, by its number: ``cell``, ``strategy``, ``factors`` in words, their ``values``,
            ``threshold``, ``threshold_bin``, ``learning_rate``, ``number`` of its first run that trained, or of its
            first one, ``runs``, ``fresh``, ``fresh_diverged``, ``clipped_fraction``, ``untrained``, and ``unit``, what
            one share of the loss is.
        observed: the same for the model.
    """

    def __init__(self, runs: pd.DataFrame) -> None:
        """Sort runs by setting.

        Args:
            runs: rows of ``trial_result`` with ``fresh``, see ``mark_fresh``.
        """
        runs = with_metrics(judged(runs)).dropna(subset=["learning_rate"])
        values = pd.Series(all_values(runs), runs.index, dtype="object")
        ranges = pd.Series([searched_in_words(each) for each in searched_values(runs)], runs.index, dtype="object")
        runs = in_words(runs.assign(values=values, in_ranges=ranges)).reset_index(drop=True)
        lost = (runs["outcome"] == "diverged").to_numpy()
        untrained = runs["initial_validation_loss"].to_numpy(float)
        losses = np.where(lost, untrained, runs["validation_loss"].to_numpy(float))
        setting = setting_of(runs).to_numpy(np.int64)
        self.runs = runs.assign(
            setting=setting,
            lost=lost,
            loss=losses,
            unit=units(losses, untrained) if len(runs) else untrained,
            trained=runs["outcome"] == "trained",
        )
        margins = bounded_margins(lost, ~runs["reason"].isin(NON_FINITE), runs["final_loss"], runs["initial_loss"])
        self.settings = self._by_setting()
        self.observed = Observed(
            settings=_as_numbers(self.settings),
            setting=setting.astype(np.int64),
            diverged=lost,
            margins=margins,
            shares=shares(losses, untrained) if len(runs) else losses,
            fresh=runs["fresh"].to_numpy(bool),
        )

    def _by_setting(self) -> pd.DataFrame:
        runs = self.runs.assign(fresh_diverged=self.runs["fresh"] & self.runs["lost"])
        # Of a confirmation numbers are negative: a trial of the study comes first.
        runs["order"] = runs["number"].where(runs["number"] >= 0, np.inf)
        ordered = runs.sort_values(["trained", "order"], ascending=[False, True])
        return ordered.groupby("setting").agg(
            **{name: (name, "first") for name in (*GROUP, "factors", "threshold", "threshold_bin", "learning_rate")},
            values=("values", "first"),
            in_ranges=("in_ranges", "first"),
            number=("number", "first"),
            runs=("lost", "size"),
            trained=("trained", "sum"),
            fresh=("fresh", "sum"),
            fresh_diverged=("fresh_diverged", "sum"),
            clipped_fraction=("clipped_fraction", "mean"),
            untrained=("initial_validation_loss", "mean"),
            unit=("unit", "mean"),
        )

    def metrics(self, setting: int, *, fresh: bool) -> Mapping[str, tuple[float, int]]:
        """The mean of each metric over the runs of a setting that have it, or its fresh ones, and how many have it."""
        runs = self.fresh_runs(setting) if fresh else self.runs[self.runs["setting"] == setting]
        found = {str(column).removeprefix(METRIC): runs[column].dropna() for column in metric_columns(runs)}
        return {name: (float(values.mean()), len(values)) for name, values in found.items() if len(values)}

    def fresh_runs(self, setting: int) -> pd.DataFrame:
        """The fresh runs of a setting."""
        return self.runs[(self.runs["setting"] == setting) & self.runs["fresh"]]


def _as_numbers(settings: pd.DataFrame) -> Settings:
    codes = [pd.factorize(settings[name])[0] for name in (*GROUP, "factors")]
    decades = np.log10(settings[SETTING[2:]].to_numpy(float))
    return Settings(np.stack(codes, 1).astype(np.int64), decades[:, 0], decades[:, 1])
