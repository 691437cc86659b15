"""Which settings are tried next."""

from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial
from scipy.stats import qmc

from gradstudy.study.spec import StudySpec

_AXES = {"cell": 0, "strategy": 1, "learning_rate": 2}
_THRESHOLD_AXIS = 3


class SobolSampler(BaseSampler):
    """Scrambled Sobol' points over cell, strategy, learning rate and threshold; trial n takes point n.

    Optuna's own QMCSampler leaves categorical and conditional parameters to chance, which here are all but the
    learning rate. Thresholds share one axis of the sequence, because a trial has one threshold at most.

    Source: Sobol' 1967; scrambling of Matousek 1998, as ``scipy.stats.qmc.Sobol``.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """No parameter is sampled jointly: each axis of the point is read on its own."""
        return {}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Nothing, see infer_relative_search_space."""
        return {}

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """The parameter's coordinate of the trial's point, scaled to its distribution."""
        sequence = qmc.Sobol(_THRESHOLD_AXIS + 1, scramble=True, rng=self._seed)
        if trial.number:
            sequence.fast_forward(trial.number)
        coordinate = float(sequence.random(1)[0, _AXES.get(param_name, _THRESHOLD_AXIS)])
        return _scale(coordinate, param_distribution)


def _scale(coordinate: float, distribution: BaseDistribution) -> Any:
    """Map [0, 1) to a value of the distribution."""
    if isinstance(distribution, optuna.distributions.CategoricalDistribution):
        return distribution.choices[int(coordinate * len(distribution.choices))]
    if isinstance(distribution, optuna.distributions.FloatDistribution) and distribution.log:
        value = distribution.low * (distribution.high / distribution.low) ** coordinate
        return min(max(value, distribution.low), distribution.high)
    raise ValueError(f"the search space has categorical and log-uniform parameters only, not {distribution}")


def make_sampler(spec: StudySpec, worker: int = 0) -> BaseSampler:
    """The spec's sampler; workers of one study draw different random numbers."""
    match spec.sampler:
        case "random":
            return optuna.samplers.RandomSampler(seed=spec.seed + worker)
        case "qmc":
            return SobolSampler(spec.seed)
        case "tpe":
            return optuna.samplers.TPESampler(seed=spec.seed + worker)
