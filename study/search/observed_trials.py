"""What Optuna's trials of a study show, as the model of what settings are worth takes it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from optuna.trial import FrozenTrial, TrialState

from gradstudy.study.frontier.places import Ints
from gradstudy.study.search.space import CONSTRAINT, Setting, suggest
from gradstudy.study.spec.study_spec import StudySpec
from gradstudy.study.worth.observed import Observed, Settings
from gradstudy.study.worth.scale import shares

UNTRAINED = "initial_validation_loss"
"""The user attribute of a trial that says at which loss its model began."""


@dataclass(frozen=True)
class ObservedTrials:
    """The trials of a study by their settings.

    Attributes:
        settings: that trials have, in the order of their first one.
        observed: the runs that have ended with a result.
        under_way: [settings] how many runs of each have not ended.
        begun: [settings] how many runs of each have begun.
        fresh: [settings] how many of these are fresh.
    """

    settings: list[Setting]
    observed: Observed
    under_way: Ints
    begun: Ints
    fresh: Ints

    def strongest(self) -> "ObservedTrials":
        """The settings that a model of losses is made of, see ``Observed.strongest``."""
        places = self.observed.strongest()
        return ObservedTrials(
            settings=[self.settings[place] for place in places],
            observed=self.observed.restricted(places),
            under_way=self.under_way[places],
            begun=self.begun[places],
            fresh=self.fresh[places],
        )

    def begun_of(self, setting: Setting) -> int:
        """How many runs of a setting have begun, whether there are any or not."""
        return int(self.begun[self.settings.index(setting)]) if setting in self.settings else 0


def read_observed(trials: Sequence[FrozenTrial], spec: StudySpec) -> ObservedTrials:
    """Sort trials by setting. The first ``spec.seeds`` runs of a setting were its search; further ones are fresh."""
    places: dict[Setting, int] = {}
    begun: list[int] = []
    rows: list[tuple[int, float, float, float, bool]] = []
    under_way: list[int] = []
    for trial in sorted(trials, key=lambda each: each.number):
        if "learning_rate" not in trial.params:
            continue
        setting = suggest(_Asked(trial), spec)
        place = places.setdefault(setting, len(places))
        if place == len(begun):
            begun.append(0)
            under_way.append(0)
        begun[place] += 1
        margin = trial.constraints.get(CONSTRAINT)
        if trial.state is TrialState.RUNNING:
            under_way[place] += 1
        elif margin is not None and trial.value is not None:
            untrained = float(trial.user_attrs.get(UNTRAINED, np.nan))
            rows.append((place, margin, trial.value, untrained, begun[place] > spec.seeds))
    columns = np.array(rows, float).reshape(len(rows), 5)
    of_setting, margins, ended, began, is_fresh = columns.T
    observed = Observed(
        settings=as_numbers(list(places), spec),
        setting=of_setting.astype(np.int64),
        diverged=margins > 0,
        margins=margins,
        shares=np.where(margins > 0, 1.0, shares(ended, began)),
        fresh=is_fresh.astype(bool),
    )
    counts = np.array(begun, np.int64)
    fresh_begun = np.maximum(counts - spec.seeds, 0)
    return ObservedTrials(list(places), observed, np.array(under_way, np.int64), counts, fresh_begun)


def as_numbers(settings: Sequence[Setting], spec: StudySpec) -> Settings:
    """Settings with codes that are places among the choices of the spec."""
    space = spec.space
    names = sorted(space.factors)
    codes = [
        [space.cells.index(each.cell), space.strategies.index(each.strategy)]
        + [space.factors[name].index(dict(each.factors)[name]) for name in names]
        for each in settings
    ]
    thresholds = [np.nan if each.threshold is None else np.log10(each.threshold) for each in settings]
    rates = [np.log10(each.learning_rate) for each in settings]
    shape = (len(settings), 2 + len(names))
    return Settings(np.array(codes, np.int64).reshape(shape), np.array(thresholds, float), np.array(rates, float))


class _Asked:
    """The parameters of a trial as answers to what a setting is asked of."""

    def __init__(self, trial: FrozenTrial) -> None:
        self._params = trial.params

    def suggest_categorical(self, name: str, choices: Sequence[str]) -> object:
        return self._params[name]

    def suggest_float(self, name: str, low: float, high: float, *, log: bool) -> float:
        return float(self._params[name])
