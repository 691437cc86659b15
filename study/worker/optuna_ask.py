"""Asking Optuna for settings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial

from gradstudy.storage.optuna_internals import trial_id_of
from gradstudy.study.search.points import ORDINAL, PlaceSampler
from gradstudy.study.search.space import Setting, parameters, suggest
from gradstudy.study.spec.study_spec import StudySpec
from gradstudy.study.worker.drafts import Drafts


@dataclass(frozen=True)
class Place:
    """Where a setting is wanted.

    Attributes:
        number: of the setting among the settings; replicates share it.
        known: the setting of a trial that was enqueued: the sampler has no say.
    """

    number: int
    known: Setting | None = None


def ask(study: optuna.Study, spec: StudySpec, places: Sequence[Place]) -> list[tuple[Setting, FrozenTrial]]:
    """The settings of places, one after the other, each with the trial of Optuna's that is to be stored for it.

    The sampler sees those before it as trials that run, as if they were stored.

    Args:
        study: whose sampler is asked.
        spec: with the space.
        places: of the settings.
    """
    drafts = Drafts(study)
    asked = []
    for place in places:
        draft = drafts.begin({ORDINAL: place.number})
        if place.known is not None or isinstance(study.sampler, PlaceSampler):
            given = parameters(place.known, spec.space) if place.known else {}
            setting = suggest(_Suggestions(drafts.study(), draft, given), spec)
        else:
            setting = suggest(optuna.Trial(drafts.study(), trial_id_of(draft)), spec)
        drafts.end(draft)
        asked.append((setting, draft))
    return asked


class _Suggestions:
    """The parameters of a trial whose sampler needs no ``optuna.Trial``, which looks at the trial for each anew."""

    def __init__(self, study: optuna.Study, trial: FrozenTrial, known: Mapping[str, Any]) -> None:
        """Begin it, with the parameters that are ``known``; without any, those that are sampled together are asked."""
        self._study = study
        self._trial = trial
        if not known:
            space = study.sampler.infer_relative_search_space(study, trial)
            known = study.sampler.sample_relative(study, trial, space)
        self._known = known

    def suggest_categorical(self, name: str, choices: Sequence[str]) -> Any:
        return self._suggest(name, CategoricalDistribution(choices))

    def suggest_float(self, name: str, low: float, high: float, *, log: bool) -> float:
        return float(self._suggest(name, FloatDistribution(low, high, log=log)))

    def _suggest(self, name: str, distribution: BaseDistribution) -> Any:
        if name in self._known:
            value = self._known[name]
        else:
            value = self._study.sampler.sample_independent(self._study, self._trial, name, distribution)
        self._trial.params[name] = value
        self._trial.distributions[name] = distribution
        return value
