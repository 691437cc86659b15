"""Trials of Optuna's before they are stored: a sampler sees those of a group as if each were, one after the other."""

from collections.abc import Container
from copy import deepcopy as copied
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

import optuna
from optuna.trial import FrozenTrial, TrialState

from gradstudy.storage.optuna_internals import storage_of, with_storage

if TYPE_CHECKING:
    from optuna.storages import BaseStorage


class Drafts:
    """A study as it will be when the drafts of a group are stored."""

    def __init__(self, study: optuna.Study) -> None:
        """Begin a group. What is stored is read once, when a sampler wants to see it."""
        self._study = study
        self._storage = _WithDrafts(storage_of(study))

    def study(self) -> optuna.Study:
        """The study for a sampler that is asked once."""
        return with_storage(self._study, cast("BaseStorage", self._storage))

    def begin(self, system_attrs: dict[str, Any]) -> FrozenTrial:
        """A draft that the sampler is to be asked for; it is not among the study's trials yet."""
        key = -1 - len(self._storage.drafts)
        draft = FrozenTrial(
            number=key,
            state=TrialState.RUNNING,
            value=None,
            datetime_start=datetime.now(),  # as Optuna has it
            datetime_complete=None,
            params={},
            distributions={},
            user_attrs={},
            system_attrs=system_attrs,
            intermediate_values={},
            trial_id=key,
        )
        self._storage.drafts[key] = draft
        return draft

    def end(self, draft: FrozenTrial) -> None:
        """It has its parameters, and the next ones are asked for with it in sight."""
        self._storage.asked.append(draft)


class _WithDrafts:
    """A storage with drafts in front, of which nothing is written to it."""

    def __init__(self, storage: "BaseStorage") -> None:
        self._storage = storage
        self._stored: list[FrozenTrial] | None = None
        self.drafts: dict[int, FrozenTrial] = {}
        self.asked: list[FrozenTrial] = []

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        if self._stored is None:
            self._stored = self._storage.get_all_trials(study_id, deepcopy=False)
        first = self._stored[-1].number + 1 if self._stored else 0
        for number, draft in enumerate(self.asked, start=first):  # as they will be, unless others are faster
            draft.number = number
        trials = [trial for trial in (*self._stored, *self.asked) if states is None or trial.state in states]
        return copied(trials) if deepcopy else trials

    def get_trial(self, trial_id: int) -> FrozenTrial:
        return self.drafts[trial_id] if trial_id in self.drafts else self._storage.get_trial(trial_id)

    def get_trial_system_attrs(self, trial_id: int) -> dict[str, Any]:
        return self.get_trial(trial_id).system_attrs

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        self.drafts[trial_id].system_attrs[key] = value

    def set_trial_param(self, trial_id: int, param_name: str, param_value_internal: float, distribution: Any) -> None:
        """``optuna.Trial`` keeps it in the draft itself."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)
