"""The sampler that ends with an answer: spread settings, a search for the best one, fresh runs of the finalists."""

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState

from gradstudy.study.frontier.fit import MOST_TARGETS
from gradstudy.study.search.candidates import Candidates
from gradstudy.study.search.halving import STEPS, finalists, next_fresh_run
from gradstudy.study.search.mirrored_tpe import MirroredTpe
from gradstudy.study.search.observed_trials import ObservedTrials, read_observed
from gradstudy.study.search.phases import Phases
from gradstudy.study.search.points import ORDINAL, PlaceSampler, SobolSampler
from gradstudy.study.search.promising import promising
from gradstudy.study.search.space import Setting, distributions, parameters, rounded, rounded_within
from gradstudy.study.spec.axis import ends, listed
from gradstudy.study.spec.study_spec import StudySpec
from gradstudy.study.worth.proof import PROOF_RUNS
from gradstudy.study.worth.risk import Risk
from gradstudy.study.worth.worth import WorthModel

if TYPE_CHECKING:
    from gradstudy.study.frontier.likelihood import Floats

SHARE_OF_THE_MODEL, SHARE_FOR_SAFETY = 4, 2
"""One of so many settings is searched by the model of what settings are worth, the others by TPE: each finds valleys
that the other misses. Where the best setting is not known to be safe, the model, which knows of risk, has more."""
ATTEMPTS = 5
"""To get a setting from TPE that was not run before: a search has no use for it."""
CENTRES = 10
"""Best settings around which candidates are drawn."""
MOST_FRONTIERS = 4 * MOST_TARGETS
"""Of a space that the model searches: with more of them, each of which has few runs, TPE searches alone."""


class AutoSampler(PlaceSampler):
    """Spends a budget so that it ends with an answer.

    The phase follows from a trial's place in the budget and all else from the trials of the study, so that any number
    of workers, whenever they are killed, go on where the study is.
    """

    def __init__(self, spec: StudySpec, worker: int = 0) -> None:
        """Make a sampler.

        Args:
            spec: of the study.
            worker: its number: those of two workers draw different candidates.
        """
        self._spec = spec
        self._worker = worker
        self._phases = Phases.of(spec.trials // spec.seeds)
        sizes = {name: len(values) for name, values in spec.space.factors.items()}
        self._spread = SobolSampler(spec.seed, sizes, self._phases.spread)
        self._tpe = MirroredTpe(spec, spec.seed + worker)
        self._candidates = Candidates(spec)
        self._distributions = distributions(spec)
        self._proposed: deque[Setting] = deque()
        self._hyperparameters: Floats | None = None
        self._share = SHARE_OF_THE_MODEL
        self._risk: tuple[int, Risk] | None = None

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """All parameters, once settings are chosen as a whole; none as long as they are spread."""
        return {} if self._place(trial) < self._phases.spread else self._distributions

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The parameters of the next setting; none where a spread one comes next."""
        place = self._place(trial)
        if not search_space:
            return {}
        known = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING))
        known = [other for other in known if other.number != trial.number]
        setting = self._searched(known, place) if place < self._phases.searched else self._fresh(known, place)
        return parameters(rounded(setting, self._spec.space), self._spec.space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """The coordinate of a spread setting."""
        value = self._spread.sample_independent(study, trial, param_name, param_distribution)
        if isinstance(param_distribution, FloatDistribution):
            return rounded_within(value, (param_distribution.low, param_distribution.high))
        return value

    @staticmethod
    def _place(trial: FrozenTrial) -> int:
        return int(trial.system_attrs.get(ORDINAL, trial.number))

    def _searched(self, trials: list[FrozenTrial], place: int) -> Setting:
        """The next setting of the search."""
        if place % self._share == 0 and len(self._candidates.everywhere) <= MOST_FRONTIERS:
            if not self._proposed:
                self._propose(read_observed(trials, self._spec), place)
            if self._proposed:
                return self._proposed.popleft()
        tried = {tuple(sorted(trial.params.items())) for trial in trials}
        setting = self._tpe.ask(trials)
        for _ in range(ATTEMPTS):
            if tuple(sorted(parameters(rounded(setting, self._spec.space), self._spec.space).items())) not in tried:
                break
            setting = self._tpe.ask(trials)
        return setting

    def _propose(self, seen: ObservedTrials, place: int) -> None:
        """Choose a batch of settings by the model, if there is one."""
        random = np.random.default_rng([self._spec.seed, self._worker, place])
        model = self._model(seen)
        if model is None:
            return
        worth = model.of_observed()
        best = np.argsort(worth.expected)[:CENTRES]
        self._share = SHARE_OF_THE_MODEL if worth.is_safe[best[0]] else SHARE_FOR_SAFETY
        drawn = self._candidates.draw(model.observed.settings.take(best), random)
        pending = seen.observed.settings.take(seen.under_way > 0)
        places = promising(model, drawn, pending)
        self._proposed.extend(self._candidates.setting(drawn, each) for each in places)

    def _fresh(self, trials: list[FrozenTrial], place: int) -> Setting:
        """The setting of the next fresh run; the search goes on as long as nothing is there to be run again."""
        seen = read_observed(trials, self._spec)
        model = self._model(seen, search=False)
        if model is None:
            return self._tpe.ask(trials)
        strongest = seen.strongest()
        worth, (shares, _) = model.of_observed(), model.observed.mean_shares()
        chosen = finalists(
            worth, model.observed.settings, shares, strongest.fresh, self._phases.places - self._phases.searched
        )
        left = self._phases.places - place
        # Not the best one that is known to be safe: its fresh runs are to show whether it is. Nor one with many fresh
        # runs already: a better one with few gets its runs, as long as enough are left to confirm it.
        in_time = chosen[strongest.fresh[chosen] + left >= PROOF_RUNS]
        may_lead = in_time if len(in_time) else chosen
        best = int(may_lead[np.argmin(worth.rating_to_prove[may_lead])])
        steps = {step: self._beside(strongest.settings[best], step) for step in STEPS}
        beside = {step: seen.begun_of(setting) for step, setting in steps.items() if setting is not None}
        run = next_fresh_run(worth, chosen, best, strongest.fresh, beside, left)
        setting = strongest.settings[run.setting]
        return setting if run.step == 1 else (self._beside(setting, run.step) or setting)

    def _beside(self, setting: Setting, step: float) -> Setting | None:
        """The setting at a step of the learning rate; None outside of the range, and where values are given."""
        axis = self._spec.space.learning_rate
        low, high = ends(axis)
        rate = setting.learning_rate * step
        if listed(axis) is not None or not low <= rate <= high:
            return None
        return rounded(replace(setting, learning_rate=rate), self._spec.space)

    def _model(self, seen: ObservedTrials, *, search: bool = True) -> WorthModel | None:
        """The model by what has ended; None as long as that is too little."""
        observed = seen.observed
        if not WorthModel.can_be_made(observed):
            return None
        searched = int((~observed.fresh).sum())
        if search:
            self._risk = searched, Risk(observed, self._candidates.everywhere, self._candidates.like)
        elif self._risk is None or self._risk[0] != searched:
            self._risk = searched, Risk(observed)
        model = WorthModel(seen.strongest().observed, self._risk[1], self._hyperparameters, search=search)
        self._hyperparameters = model.losses.hyperparameters
        return model
