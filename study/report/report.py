"""What a study says: the recommendation and the tables behind it, from frame to frame."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

from gradstudy.storage.database import Database
from gradstudy.storage.frames import read_trials
from gradstudy.storage.studies import StudyRecord, find_study
from gradstudy.study.answer.appraisal import Appraisal
from gradstudy.study.answer.causes import causes
from gradstudy.study.answer.confirmation_study import (
    confirmation_results,
    confirmed_study,
    find_confirmation,
    is_open,
)
from gradstudy.study.answer.effects import effects
from gradstudy.study.answer.follow_up import FollowUp, follow_up
from gradstudy.study.answer.observation import mark_fresh
from gradstudy.study.answer.recommendation import Recommendation, recommend
from gradstudy.study.frontier.by_factor import frontier_by_factor
from gradstudy.study.frontier.table import frontier
from gradstudy.study.horizon.answer import AtHorizon, answer_at_horizon
from gradstudy.study.horizon.extension import read_longer
from gradstudy.study.literature.presets import verdicts
from gradstudy.study.report.caveats import caveats, of_length
from gradstudy.study.report.without_spec.recorded_study import as_known
from gradstudy.study.scaling.prediction import scale_table
from gradstudy.study.scaling.words import scaled_in_words
from gradstudy.study.spec.parts import ALL, KeptSteps, Like
from gradstudy.study.spec.plain import is_plain
from gradstudy.study.statistics.gradient_norms import gradient_norms, suggested_thresholds
from gradstudy.study.statistics.grouping import group_keys, in_words
from gradstudy.study.statistics.importance import divergence_importance
from gradstudy.study.statistics.rates import divergence_by, divergence_by_factor
from gradstudy.study.statistics.settings import by_setting

GRID = "grid"
"""The sampler that runs every setting."""
Confirmed = tuple[pd.DataFrame, pd.DataFrame]
"""How chosen settings fared, see ``confirmation_table``, and the rows of ``trial_result`` of their fresh runs."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """Everything that a report shows; tables that only some forms show are made when they are asked for.

    Attributes:
        study: name, spec, budget.
        source: the database, for printing.
        trials: rows of ``trial_result``.
        recommendation: None when no trial trained; of the settings with fresh runs, where there are any.
        strategies: one row for each cell and strategy, and choice of factors where any are varied, see
            ``divergence_by``, with the worth of its best setting, see ``Appraisal.by_group``, and the lowest and
            highest bracketed frontier over the thresholds.
        metrics: what the best setting of each of these measured beside the loss, see ``Appraisal.metrics``.
        frontiers: see ``frontier``; where the study is like another one, they rest on what that one found, too, and
            nothing else does.
        confirmation: how fresh runs of chosen settings fared, see ``confirmation_table``; without rows where there are
            none. They are in no other table.
        confirms: the name of the study that this one confirms; None for one that searches.
        horizons: how its best settings fared that were trained longer, see ``read_longer``.
        at_horizon: the answer for its horizon; None where no longer runs have ended.
        predicted: what settings do at the horizon, see ``predict``.
        scaling: what is predicted for a larger model, see ``scale_table``.
        excluded: why trials count nowhere, by number; they are in no table.
    """

    study: StudyRecord
    source: str
    trials: pd.DataFrame
    recommendation: Recommendation | None
    strategies: pd.DataFrame
    metrics: pd.DataFrame
    frontiers: pd.DataFrame
    confirmation: pd.DataFrame
    confirms: str | None
    horizons: pd.DataFrame
    at_horizon: AtHorizon | None
    predicted: pd.DataFrame
    scaling: pd.DataFrame
    excluded: dict[int, str] = field(default_factory=dict)

    @property
    def outcomes(self) -> dict[str, int]:
        """How many trials ended in each outcome, the most frequent first."""
        return {str(outcome): int(count) for outcome, count in self.trials["outcome"].value_counts().items()}

    @property
    def steps(self) -> int:
        """Of a whole run; of a plain study the longest that a trial reported of."""
        steps = self.study.spec.get("steps")
        return int(self.trials["steps"].max() if steps is None and len(self.trials) else steps or 0)

    @property
    def kept_steps(self) -> KeptSteps:
        """How many steps of each trial the study keeps."""
        kept: KeptSteps = self.study.spec.get("keep_steps", ALL)
        return kept

    @property
    def is_grid(self) -> bool:
        """Whether every setting of the space is run: then each run counts, see ``divergence_by``."""
        return is_grid(self.study)

    @cached_property
    def verdicts(self) -> list[str]:
        """Whether the experiment of the literature holds that the study is made from, see ``verdicts``."""
        return [] if self.confirms else verdicts(self.study.spec, self.trials)

    @cached_property
    def caveats(self) -> list[str]:
        """What the study cannot tell."""
        said = caveats(
            self.study, self.trials, self.strategies, self.frontiers, self.confirms, self.causes, self.excluded
        )
        return [*said, *of_length(self.study, self.at_horizon, has_answer=self.recommendation is not None)]

    @property
    def larger(self) -> list[str]:
        """What is predicted for a larger model, see ``scaled_in_words``."""
        return scaled_in_words(self.study.spec, self.scaling)

    @cached_property
    def causes(self) -> list[str]:
        """What is at fault where no setting is, see ``causes``."""
        return causes(self.trials)

    @cached_property
    def follow_up(self) -> FollowUp | None:
        """What to run next; None when the question is settled, or only the study's own program can run anything."""
        if is_plain(self.study.spec):
            return None
        return follow_up(
            self.study, self.outcomes, self.recommendation, self.confirms, self.causes,
            has_confirmation=not self.confirmation.empty or self.at_horizon is not None,
        )  # fmt: skip

    @cached_property
    def settings(self) -> pd.DataFrame:
        """See ``by_setting``; without rows where the settings are not those of a grid."""
        return by_setting(self.trials) if self.is_grid else pd.DataFrame()

    @cached_property
    def effects(self) -> list[str]:
        """What each clipping does at the same learning rate, see ``effects``."""
        return [] if self.settings.empty else effects(self.settings)

    @cached_property
    def bins(self) -> pd.DataFrame:
        """Divergence of each cell, strategy (factors), ``threshold_decade`` and half-decade ``learning_rate_bin``."""
        decades = 10 ** np.floor(np.log10(self.trials["threshold"]))
        by = [*group_keys(self.trials), "threshold_decade", "learning_rate_bin"]
        return divergence_by(self.trials.assign(threshold_decade=decades), by, of_a_grid=self.is_grid)

    @cached_property
    def factors(self) -> pd.DataFrame:
        """See ``divergence_by_factor``."""
        return divergence_by_factor(self.trials, of_a_grid=self.is_grid)

    @cached_property
    def frontiers_by_factor(self) -> pd.DataFrame:
        """See ``frontier_by_factor``."""
        return frontier_by_factor(self.frontiers, self.trials)

    @cached_property
    def importance(self) -> pd.DataFrame:
        """See ``divergence_importance``."""
        return divergence_importance(self.trials)

    @cached_property
    def norms(self) -> pd.DataFrame:
        """See ``gradient_norms``."""
        return gradient_norms(self.trials)

    @cached_property
    def suggested(self) -> pd.DataFrame:
        """See ``suggested_thresholds``."""
        return suggested_thresholds(self.trials)

    @cached_property
    def survival(self) -> pd.DataFrame:
        """See ``survival``."""
        from gradstudy.study.statistics.survival import survival  # scipy.stats, which not every form needs

        return survival(in_words(self.trials), group_keys(self.trials))

    def tables(self) -> dict[str, pd.DataFrame]:
        """The tables that every form of a report carries, by name."""
        return {
            "confirmation": self.confirmation,
            "at_horizon": self.predicted,
            "horizons": self.horizons,
            "scaling": self.scaling,
            "settings": self.settings,
            "strategies": self.strategies,
            "metrics": self.metrics,
            "factors": self.factors,
            "frontier_by_factor": self.frontiers_by_factor,
            "frontier": self.frontiers,
            "bins": self.bins,
            "importance": self.importance,
            "gradient_norms": self.norms,
            "suggested_threshold": self.suggested,
            "survival": self.survival,
        }


def is_grid(study: StudyRecord) -> bool:
    """Whether a study runs every setting of its space."""
    return bool(study.spec["sampler"] == GRID)


def build_report(
    study: StudyRecord,
    trials: pd.DataFrame,
    source: str = "",
    confirmed: Confirmed | None = None,
    confirms: str | None = None,
    longer: tuple[pd.DataFrame, pd.DataFrame] | None = None,
) -> Report:
    """Make a report.

    Args:
        study: what is reported.
        trials: its rows of ``trial_result``; those that are excluded count nowhere.
        source: the database, for printing.
        confirmed: how chosen settings fared and the fresh runs themselves, where there are any.
        confirms: the name of the study that it confirms, if it is a confirmation.
        longer: how settings fared that were trained longer, and the runs themselves, see ``read_longer``.
    """
    excluded = _excluded(trials)
    trials = trials[~trials["number"].isin(excluded)]
    keys = group_keys(trials)
    like = study.spec.get("like")
    own = frontier(trials)
    frontiers = own if like is None else frontier(trials, Like.model_validate(like))
    ends = frontiers.groupby(keys, as_index=False)["frontier"].agg(frontier_lowest="min", frontier_highest="max")
    confirmation, fresh = (pd.DataFrame(), None) if confirmed is None else confirmed
    runs = mark_fresh(trials, study.spec["sampler"], study.spec["seeds"], fresh)
    appraisal = Appraisal(runs)
    strategies = (
        divergence_by(trials, keys, of_a_grid=is_grid(study))
        .merge(appraisal.by_group(), how="left", on=keys)
        .merge(ends, how="left", on=keys)
    )
    recommendation = recommend(appraisal, own, study.spec)
    horizons, longer_runs = (pd.DataFrame(), pd.DataFrame()) if longer is None else longer
    setting = None if recommendation is None else recommendation.setting
    at_horizon, predicted = answer_at_horizon(study.spec, runs, longer_runs, setting)
    return Report(
        study=study,
        source=source,
        trials=trials,
        recommendation=recommendation,
        strategies=strategies,
        metrics=appraisal.metrics(),
        frontiers=frontiers,
        confirmation=confirmation,
        confirms=confirms,
        horizons=horizons,
        at_horizon=at_horizon,
        predicted=predicted,
        scaling=scale_table(study.spec, own, appraisal),
        excluded=excluded,
    )


def _excluded(trials: pd.DataFrame) -> dict[int, str]:
    """Why trials count nowhere, by number."""
    if "excluded" not in trials:
        return {}
    rows = trials.dropna(subset=["excluded"])
    return dict(zip(map(int, rows["number"]), map(str, rows["excluded"]), strict=True))


def read_report(database: Database, name: str) -> Report:
    """Make the report of a study; fresh runs that confirm its settings count when all that were put in have ended.

    Raises:
        NotFoundError: there is no such study.
    """
    record, confirmed = find_study(database, name), None
    trials = read_trials(database, name, excluded=True)
    if record.is_external:
        return build_report(as_known(record, trials), trials, database.display_url)
    confirmation = find_confirmation(database, record)
    if confirmation is not None and confirmation.record.budget and not is_open(database, confirmation):
        confirmed = confirmation_results(database, confirmation)
    original = confirmed_study(database, record)
    confirms = None if original is None else original.name
    longer = read_longer(database, record)
    return build_report(record, trials, database.display_url, confirmed, confirms, longer)
