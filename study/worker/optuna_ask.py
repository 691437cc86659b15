"""Asking Optuna for a setting."""

from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState

from gradstudy.storage.optuna_internals import storage_of, study_id_of, trial_id_of, without_memory
from gradstudy.study.patience import UNANSWERED
from gradstudy.study.search.points import ORDINAL, PlaceSampler
from gradstudy.study.search.space import Setting, parameters, suggest
from gradstudy.study.spec.study_spec import StudySpec
from gradstudy.study.worker.recovery import set_state


def ask(study: optuna.Study, spec: StudySpec, place: int, known: Setting | None = None) -> tuple[Setting, int]:
    """The setting of a place among the settings, and the ``trial_id`` of a new trial of Optuna's with it.

    ``Study.ask`` might answer with a trial that was given back, which another worker may have claimed already.

    Args:
        study: whose sampler is asked.
        spec: with the space.
        place: of the setting; replicates share it.
        known: the setting of a trial that was enqueued: the sampler has no say.

    Raises:
        UpdateFinishedTrialError: the trial was taken for one of a lost worker before it was complete.
    """
    template = optuna.trial.create_trial(state=TrialState.RUNNING, system_attrs={ORDINAL: place})
    storage, study_id = storage_of(study), study_id_of(study)
    if known is not None or isinstance(study.sampler, PlaceSampler):
        setting = suggest(_Draft(study, template, parameters(known, spec.space) if known else {}), spec)
        return setting, storage.create_new_trial(study_id, template)
    # The sampler is to look at the trials that there are by now.
    trial = optuna.Trial(without_memory(study), storage.create_new_trial(study_id, template))
    try:
        return suggest(trial, spec), trial_id_of(trial)
    except BaseException as error:
        if not isinstance(error, UNANSWERED):
            set_state(storage, trial_id_of(trial), TrialState.FAIL)
        raise


class _Draft:
    """A trial that is stored at once, when its setting is known.

    ``optuna.Trial`` stores each parameter in a transaction of its own and reads the trial again for it, which other
    samplers rely on: two thirds of what a worker did for a trial beside training it.
    """

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
