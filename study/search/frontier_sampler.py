"""An Optuna sampler that maps the frontiers, and spends a share of its trials on the best setting below them."""

import math
import zlib
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from gradstudy.storage.optuna_internals import trial_id_of
from gradstudy.study.frontier.fit import MOST_TARGETS
from gradstudy.study.frontier.places import Places, Runs
from gradstudy.study.frontier.posterior import FrontierModel
from gradstudy.study.frontier.readings import Named, readings
from gradstudy.study.search.axes import Group, SearchAxes, find_axes
from gradstudy.study.search.loss_model import LossModel
from gradstudy.study.search.points import ORDINAL, PlaceSampler, SobolSampler, scale
from gradstudy.study.search.space import CONSTRAINT
from gradstudy.study.spec.parts import Like

FEWEST_FIRST = 8
"""Trials that are spread before the model is asked, or two for each choice of the largest factor if that is more."""
SHARE_FOR_THE_BEST = 3
"""One of so many trials looks for the best safe setting instead of the frontiers."""
SAFETY_DECADES = 0.3
"""How far below the frontier the best setting is looked for: the factor of two that a recommendation keeps."""
STEPS_PER_DECADE = 20
REACH = 1.0
"""Decades around the expected frontier among which a trial's learning rate is chosen."""
LIKELY = 1.96
"""Standard deviations on each side of what is known."""


@dataclass(frozen=True)
class Target:
    """A frontier to find: a group, and the bin of each further axis that it has.

    Attributes:
        group: the factors' values.
        bins: name -> (low, high) in decades.
    """

    group: Group
    bins: dict[str, tuple[float, float]]


class FrontierSampler(PlaceSampler):
    """Asks where the frontier, the learning rate at which 10% of runs diverge, is least known.

    It needs trials with a learning rate on a logarithmic axis that report how far they were from divergence by
    ``trial.set_constraint("divergence", margin)``: positive when the run diverged, and the further from 0 the clearer.
    Categorical parameters that every trial has tell groups apart, such as cells and strategies; further logarithmic
    parameters may be there in some groups only, such as a threshold for each strategy. Each group and half-decade of
    its thresholds has a frontier of its own. Parameters of other kinds are drawn at random and do not count.

    After some spread trials each goes where its outcome is expected to narrow the intervals of all frontiers most, of
    which one learns from the others (level-set estimation: Bryan et al. 2005; Gotovos et al. 2013; looking ahead
    globally: Letham et al. 2022). Within its bin the threshold is spread evenly, whatever the learning rate, because
    the frontier of a bin is that of all its thresholds. Running trials count as known without moving what is expected.
    Every third trial goes to the lowest expected loss, less its uncertainty, among settings below their frontiers by a
    factor of two.
    """

    def __init__(self, seed: int = 0, *, learning_rate: str | None = None, like: Like | None = None) -> None:
        """Make a sampler.

        Args:
            seed: of the spread trials; with the same seed and the same earlier trials, the next one is the same.
            learning_rate: the parameter's name, where it is neither ``learning_rate`` nor ``lr`` nor the only
                logarithmic one that all trials have.
            like: what another study found, of studies with gradstudy's parameters.
        """
        self._seed = seed
        self._like = like
        self._learning_rate = learning_rate
        self._spread = SobolSampler(seed)
        self._found: dict[int, tuple[SearchAxes, list[FrozenTrial]]] = {}

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """The parameters that the model chooses together; none as long as trials are spread."""
        others = _others(study, trial)
        axes = find_axes(others, self._learning_rate)
        if axes is None or _place(trial) < _first(axes):
            return {}
        self._found[trial_id_of(trial)] = axes, others
        return axes.distributions

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The next setting; Optuna asks for the search space before."""
        if not search_space:
            return {}
        axes, trials = self._found.pop(trial_id_of(trial))
        place = _place(trial)
        axes = axes.restricted(self._block(axes, place))
        search = Search(axes, trials, minimize=study.direction is StudyDirection.MINIMIZE, like=self._like)
        chosen = search.best_setting() if place % SHARE_FOR_THE_BEST == SHARE_FOR_THE_BEST - 1 else None
        target, decade = chosen or search.next_at_the_frontier()
        shift, *spread = np.random.default_rng([self._seed, place]).random(1 + len(target.bins))
        inside = {
            name: low + share * (high - low)
            for (name, (low, high)), share in zip(target.bins.items(), spread, strict=True)
        }
        # Off the grid of learning rates: without a threshold to differ in, trials would be replicates of one setting.
        decade += (float(shift) - 0.5) / STEPS_PER_DECADE
        return axes.parameters(target.group, {axes.learning_rate: decade, **inside})

    def _block(self, axes: SearchAxes, place: int) -> list[Group]:
        """The groups among which a trial is placed: where all are too many to be fitted together, parts take turns."""
        blocks = axes.blocks({group: len(_targets(axes.restricted([group]))) for group in axes.carried}, MOST_TARGETS)
        turn, position = divmod(place, len(blocks))
        return blocks[np.random.default_rng([self._seed, turn]).permutation(len(blocks))[position]]

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """A spread value: the trial's Sobol' point where it has a coordinate for the parameter, else a random one."""
        usable = isinstance(param_distribution, CategoricalDistribution) or (
            isinstance(param_distribution, FloatDistribution) and param_distribution.log
        )
        if usable and self._spread.has_axis(param_name):
            return self._spread.sample_independent(study, trial, param_name, param_distribution)
        seed = [self._seed, _place(trial), zlib.crc32(param_name.encode())]
        if usable:
            return scale(float(np.random.default_rng(seed).random()), param_distribution)
        sampler = optuna.samplers.RandomSampler(int(np.random.SeedSequence(seed).generate_state(1)[0]))
        return sampler.sample_independent(study, trial, param_name, param_distribution)


class Search:
    """What the trials so far say about where to look next."""

    def __init__(
        self, axes: SearchAxes, trials: Sequence[FrozenTrial], *, minimize: bool = True, like: Like | None = None
    ) -> None:
        """Fit the model of the frontiers.

        Args:
            axes: of the study.
            trials: of the study; those that run are expected to end as the model believes.
            minimize: whether small objectives are good.
            like: what another study found.
        """
        self._axes = axes
        self._sign = 1.0 if minimize else -1.0
        self.low, self.high = axes.bounds(axes.learning_rate)
        self._middle = (self.low + self.high) / 2
        self.targets = list(_targets(axes))
        whole = [trial for trial in trials if axes.is_complete(trial)]
        ended = [(trial, trial.constraints.get(CONSTRAINT)) for trial in whole if trial.state is TrialState.COMPLETE]
        self._judged = [trial for trial, margin in ended if margin is not None]
        self._margins = np.array([margin for _, margin in ended if margin is not None], float)
        running = [trial for trial in whole if trial.state is TrialState.RUNNING]
        self._seen = self._runs_of(self._judged)
        self._places = self._places_of_targets()
        read = None if like is None else readings(like, [self._named(target) for target in self.targets], self._middle)
        self.model = FrontierModel(self._places, self._seen, self._margins, self._runs_of(running), read)

    def next_at_the_frontier(self) -> tuple[Target, float]:
        """Where a run is expected to tell most about all frontiers: a target with a learning rate, in decades."""
        reach = (self.high - self.low) / 2
        near = self.model.crossing[:, None] + np.arange(-REACH, REACH + 1e-9, 1 / STEPS_PER_DECADE)
        decades = np.clip(near, -reach, reach)
        # What is unknown beyond the learning rates searched does not count.
        ends = self.model.crossing + np.outer([-LIKELY, LIKELY], self.model.sd)
        inside = np.diff(np.clip(ends, -reach, reach), axis=0)[0] / np.diff(ends, axis=0)[0]
        gains = self.model.gains(decades, inside)
        target, place = np.unravel_index(int(np.argmax(gains)), gains.shape)
        return self.targets[target], self._middle + float(decades[target, place])

    def best_setting(self) -> tuple[Target, float] | None:
        """Where the loss may be lowest below the frontier, with the learning rate in decades; None if nowhere."""
        kept = np.flatnonzero(self._margins <= 0)
        if len(kept) < 2:
            return None
        values = np.array([self._judged[place].value for place in kept], float) * self._sign
        reach = (self.high - self.low) / 2
        limit = self.model.crossing - np.maximum(LIKELY * self.model.sd, SAFETY_DECADES)
        grid = np.arange(-reach, reach + 1e-9, 2 / STEPS_PER_DECADE)
        target, place = np.nonzero(grid[None, :] <= limit[:, None])
        if not len(target):
            return None
        seen = Runs(self._seen.target[kept], self._seen.decades[kept])
        model = LossModel(self._places, seen.target, seen.decades - self.model.crossing[seen.target], values)
        best = int(np.argmin(model.optimistic(target, grid[place] - self.model.crossing[target])))
        return self.targets[target[best]], self._middle + float(grid[place[best]])

    def _places_of_targets(self) -> Places:
        middles = [[np.mean(target.bins.get(name, np.nan)) for name in self._axes.others] for target in self.targets]
        codes = self._axes.codes([target.group for target in self.targets])
        shape = (len(self.targets), len(self._axes.others))
        return Places(codes, np.array(middles, np.float64).reshape(shape))

    def _named(self, target: Target) -> Named:
        names = dict(zip(self._axes.factors, target.group, strict=True))
        # A group that no trial had may be guessed to have several thresholds: nothing is known of it.
        halves = [math.floor(round(2 * low, 9)) for low, _ in target.bins.values()]
        cell, strategy = str(names.pop("cell", "")), str(names.pop("strategy", ""))
        return Named(cell if len(halves) < 2 else "", strategy, halves[0] if halves else None, names)

    def _runs_of(self, trials: Sequence[FrozenTrial]) -> Runs:
        """Trials by target: a frontier is that of all thresholds of its bin."""
        number = {
            (target.group, tuple(low for low, _ in target.bins.values())): place
            for place, target in enumerate(self.targets)
        }
        lows = {name: [low for low, _ in self._axes.bins(name)] for name in self._axes.others}
        found = []
        for trial in trials:
            group, params = self._axes.group(trial), trial.params
            bins = tuple(
                lows[name][max(0, bisect_right(lows[name], math.log10(params[name])) - 1)]
                for name in self._axes.carried[group]
            )
            found.append(number[group, bins])
        decades = [np.log10(trial.params[self._axes.learning_rate]) for trial in trials]
        return Runs(np.array(found, np.int64), np.array(decades, float) - self._middle)


def _targets(axes: SearchAxes) -> Sequence[Target]:
    return [
        Target(group, dict(zip(carried, bins, strict=True)))
        for group, carried in axes.carried.items()
        for bins in product(*(axes.bins(name) for name in carried))
    ]


def _first(axes: SearchAxes) -> int:
    return max(FEWEST_FIRST, 2 * max((axes.choices(name) for name in axes.factors), default=1))


def _others(study: optuna.Study, trial: FrozenTrial) -> list[FrozenTrial]:
    """The trials that say something: those that ended with a result, and those that run."""
    known = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.RUNNING))
    return [other for other in known if other.number != trial.number and other.params]


def _place(trial: FrozenTrial) -> int:
    return int(trial.system_attrs.get(ORDINAL, trial.number))
