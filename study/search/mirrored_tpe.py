"""Optuna's TPE asked about a study that it does not see: a copy of its trials in memory.

TPE takes runs under way for bad ones, so that settings asked for at once differ, and writes into the trial that asks.
Here a setting is asked for before its trial is stored.
"""

import warnings
from collections.abc import Sequence

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.trial import FrozenTrial, TrialState

from gradstudy.study.search.space import CONSTRAINT, Setting, suggest
from gradstudy.study.spec.study_spec import StudySpec


class MirroredTpe:
    """Multivariate TPE over all that every setting has, and over each strategy's threshold."""

    def __init__(self, spec: StudySpec, seed: int) -> None:
        self._spec = spec
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            sampler = optuna.samplers.TPESampler(
                seed=seed, multivariate=True, group=True, constant_liar=True, n_startup_trials=1
            )
        self._study = optuna.create_study(sampler=sampler, storage=optuna.storages.InMemoryStorage())
        self._running: dict[int, optuna.Trial] = {}
        self._known: set[int] = set()

    def ask(self, trials: Sequence[FrozenTrial]) -> Setting:
        """The next setting.

        Args:
            trials: of the study; those that run have their parameters.
        """
        params = {trial.number: trial.params for trial in trials}
        for number, copied in list(self._running.items()):
            if params.get(number) != copied.params:  # lost, and of no result; or stored under another number
                self._study.tell(self._running.pop(number), state=TrialState.FAIL)
        for trial in trials:
            if trial.number not in self._known and trial.params:
                self._take_in(trial)
        asked = self._study.ask()
        setting = suggest(asked, self._spec)
        self._study.tell(asked, state=TrialState.FAIL)
        return setting

    def _take_in(self, trial: FrozenTrial) -> None:
        copied = self._running.get(trial.number)
        if copied is None:
            self._study.enqueue_trial(trial.params)
            copied = self._study.ask(fixed_distributions=dict(trial.distributions))
            self._running[trial.number] = copied
        if not trial.state.is_finished():
            return
        margin = trial.constraints.get(CONSTRAINT)
        if trial.state is TrialState.COMPLETE and margin is not None:
            copied.set_constraint(CONSTRAINT, margin)
            self._study.tell(copied, trial.value)
        else:
            self._study.tell(copied, state=TrialState.FAIL)
        self._known.add(trial.number)
        del self._running[trial.number]
