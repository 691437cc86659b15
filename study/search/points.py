"""Settings that follow from their place in the budget: Sobol' points, random ones, those of a grid."""

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import optuna
import torch
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial
from torch.quasirandom import SobolEngine

from gradstudy.study.search.space import THRESHOLD_PREFIX, distributions, grid, parameters
from gradstudy.study.spec.study_spec import StudySpec

_AXES = {"cell": 0, "strategy": 1, "learning_rate": 2}
_THRESHOLD_AXIS = 3


ORDINAL = "gradstudy:ordinal"
"""The system attribute that holds the place of a trial's setting: replicates share it. Optuna's number also counts what
never ran."""


FEWEST_POINTS = 8
"""Of the sequence of points, for each combination of factors to get the same ones."""


class PlaceSampler(BaseSampler):
    """A sampler whose settings follow from a trial's place and from other trials: its own need not be stored yet."""


class PointSampler(PlaceSampler):
    """Points over the axes of a study; the setting at place n takes point n.

    So a study that was interrupted goes on with the settings that it would have had, whichever workers ask. In a
    study without places the trial's number counts. Thresholds share one axis, because a trial has one at most. Each
    factor has an axis of its own, after these.
    """

    def __init__(self, seed: int, others: Sequence[str] = ()) -> None:
        """Begin with axes for the parameters of every study, and for these ``others``."""
        self._seed = seed
        self._axes = _AXES | {name: _THRESHOLD_AXIS + 1 + place for place, name in enumerate(others)}
        self.dimensions = _THRESHOLD_AXIS + 1 + len(others)
        self._last: tuple[int, NDArray[np.float64]] | None = None

    def has_axis(self, param_name: str) -> bool:
        """Whether the points have a coordinate for a parameter."""
        return param_name in self._axes or param_name.startswith(THRESHOLD_PREFIX)

    @abstractmethod
    def point(self, place: int) -> NDArray[np.float64]:
        """The point of a place, [axes] in [0, 1)."""

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
        place = trial.system_attrs.get(ORDINAL, trial.number)
        if self._last is None or self._last[0] != place:
            self._last = (place, self.point(place))
        coordinate = self._last[1][self._axes.get(param_name, _THRESHOLD_AXIS)]
        return scale(float(coordinate), param_distribution)


class SobolSampler(PointSampler):
    """Scrambled Sobol' points.

    Optuna's own QMCSampler leaves categorical and conditional parameters to chance, which here are all but the
    learning rate. Factors are no further axes of the sequence: in a short one a factor's values would get different
    learning rates, and a difference between them would be that of the learning rates.

    Source: Sobol' 1967; scrambling of Matousek 1998, as ``torch.quasirandom.SobolEngine``.
    """

    def __init__(
        self, seed: int, factors: Mapping[str, int] | None = None, settings: int = 0, searched: Sequence[str] = ()
    ) -> None:
        """Begin the sequence.

        Args:
            seed: of its scrambling.
            factors: how many values each has.
            settings: how many the study has.
            searched: parameters of hyperparameters, which are further axes of the sequence.
        """
        super().__init__(seed, [*searched, *(factors or ())])
        self._sizes = tuple((factors or {}).values())
        self._combinations = math.prod(self._sizes)
        self._crossed = settings >= FEWEST_POINTS * self._combinations
        self._sequence = SobolEngine(_THRESHOLD_AXIS + 1 + len(searched), scramble=True, seed=seed)

    def point(self, place: int) -> NDArray[np.float64]:
        """The next point of the sequence with each combination of factors in turn, shuffled.

        So the values of a factor are compared at the same learning rates. Where that would leave too few points, each
        combination has points of its own.
        """
        turn, position = divmod(place, self._combinations)
        number = turn if self._crossed else place
        if number < self._sequence.num_generated:
            self._sequence.reset()
        self._sequence.fast_forward(number - self._sequence.num_generated)
        point: NDArray[np.float64] = self._sequence.draw(1, dtype=torch.float64)[0].numpy()
        combination = np.random.default_rng([self._seed, turn]).permutation(self._combinations)[position]
        values = np.array(np.unravel_index(combination, self._sizes), dtype=np.float64)
        return np.concatenate([point, (values + 0.5) / np.array(self._sizes, dtype=np.float64)])


class RandomSampler(PointSampler):
    """Uniform points. Optuna's RandomSampler begins anew in every process: a resumed study would repeat itself."""

    def point(self, place: int) -> NDArray[np.float64]:
        """A draw that only seed and place determine."""
        return np.random.default_rng([self._seed, place]).random(self.dimensions)


class GridSampler(PlaceSampler):
    """Every setting of a space without ranges in turn, in an order that the seed shuffles.

    So what a study shows that is not done yet is of settings from everywhere.
    """

    def __init__(self, spec: StudySpec) -> None:
        self._distributions, self._space = distributions(spec), spec.space
        settings = grid(spec)
        order = np.random.default_rng(spec.seed).permutation(len(settings))
        self._settings = [settings[place] for place in order]

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """All parameters: settings are taken as a whole."""
        return self._distributions

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The setting of the trial's place."""
        place = int(trial.system_attrs.get(ORDINAL, trial.number))
        return parameters(self._settings[place % len(self._settings)], self._space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Nothing is left to sample."""
        raise AssertionError(f"a grid has no {param_name}")


def scale(coordinate: float, distribution: BaseDistribution) -> Any:
    """Map [0, 1) to a value of the distribution; raises ValueError for one that is no axis of a study."""
    if isinstance(distribution, optuna.distributions.CategoricalDistribution):
        return distribution.choices[int(coordinate * len(distribution.choices))]
    if isinstance(distribution, optuna.distributions.FloatDistribution) and distribution.log:
        value = distribution.low * (distribution.high / distribution.low) ** coordinate
        return min(max(value, distribution.low), distribution.high)
    raise ValueError(f"the search space has categorical and log-uniform parameters only, not {distribution}")
