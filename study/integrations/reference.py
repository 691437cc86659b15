"""The losses of a plain Optuna study, and the one that stands for the untrained model's."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from optuna.trial import FrozenTrial, TrialState

from gradstudy.models.loss_names import LossKind
from gradstudy.study.spec.plain import FIRST_REPORTS, GIVEN, WORST

MOSTLY = 0.8
"""Share of the trials whose objective must lie among what they reported, for the two to be the same thing."""
FENCE = 1.5
"""Interquartile ranges beyond the upper quartile from which on a loss is an outlier (Tukey 1977)."""
FEWEST, SLOWEST = 3, 0.25
"""Runs of the lowest learning rates that are asked what they reported first, and their share of all."""
LARGEST = 1e100
"""From here on a value is infinite: a training that leaves it has diverged, or the program says so by it, and sums and
squares of such values have no room in a float."""
FAR = 10.0
"""Times the median loss from which on a value that returns is no loss but stands in for one."""


@dataclass(frozen=True, kw_only=True)
class Losses:
    """What trials left, as losses: the lower the better.

    Attributes:
        objective: the place of the objective that is reported.
        sign: -1 where the study maximises it.
        reports_are_losses: whether what trials report while they run is the same as their objective.
        stand_in: the loss that the program returns in the place of one that is not finite; None where it does not.
    """

    objective: int
    sign: float
    reports_are_losses: bool = False
    stand_in: float | None = None

    @property
    def kind(self) -> LossKind:
        """What is judged: one that is maximised has no ratio to that of an untrained model; others may rise far."""
        return "likelihood" if self.sign < 0 else "mse"

    def curve(self, trial: FrozenTrial) -> tuple[list[int], list[float]]:
        """The steps at which a trial reported, and what."""
        steps = sorted(trial.intermediate_values)
        return steps, [self._loss(trial.intermediate_values[step]) for step in steps]

    def final(self, trial: FrozenTrial) -> float:
        """The loss of a trial that is complete, else NaN."""
        if trial.state is not TrialState.COMPLETE or trial.values is None:
            return math.nan
        return self._loss(trial.values[self.objective])

    def _loss(self, value: float) -> float:
        return math.copysign(math.inf, self.sign * value) if abs(value) >= LARGEST else self.sign * value


@dataclass(frozen=True, kw_only=True)
class Reference:
    """The loss of the untrained model, or what stands for it.

    Attributes:
        loss: it.
        source: where it comes from, see ``gradstudy.study.spec.plain``.
    """

    loss: float
    source: str

    @property
    def is_exact(self) -> bool:
        """Whether it is that of the untrained model."""
        return self.source == GIVEN


def find_losses(trials: Sequence[FrozenTrial], objective: int, *, maximized: bool) -> Losses:
    """What the losses of a study are.

    Args:
        trials: of the study.
        objective: the place of the one that is reported.
        maximized: whether the study maximises it.
    """
    plain = Losses(objective=objective, sign=-1.0 if maximized else 1.0)
    return Losses(
        objective=plain.objective,
        sign=plain.sign,
        reports_are_losses=_reports_are_losses(trials, plain),
        stand_in=None if maximized else _stand_in([plain.final(trial) for trial in trials]),
    )


def known_reference(
    trials: Sequence[FrozenTrial], losses: Losses, learning_rates: Sequence[float], untrained: float | None
) -> Reference | None:
    """The untrained loss where it was given, else what runs of low learning rates reported first; None without reports.

    Those have learned least when they first report, and the lowest learning rates diverge last.

    Args:
        trials: of the study.
        losses: of these.
        learning_rates: the same.
        untrained: the objective of the untrained model; None where nobody said it.
    """
    if untrained is not None:
        return Reference(loss=losses.sign * untrained, source=GIVEN)
    if not losses.reports_are_losses:
        return None
    ordered = [trials[place] for place in np.argsort(learning_rates, kind="stable")]
    first = [values[0] for _, values in map(losses.curve, ordered) if values and math.isfinite(values[0])]
    lowest = first[: max(FEWEST, round(SLOWEST * len(first)))]
    return Reference(loss=float(np.median(lowest)), source=FIRST_REPORTS) if lowest else None


def worst_end(kept: Sequence[float]) -> Reference:
    """The highest loss at which a run ended that is no outlier; NaN without any.

    Args:
        kept: the losses of runs that did not diverge.
    """
    known = np.array([loss for loss in kept if math.isfinite(loss)])
    if not len(known):
        return Reference(loss=math.nan, source=WORST)
    low, high = np.quantile(known, [0.25, 0.75])
    return Reference(loss=float(known[known <= high + FENCE * (high - low)].max()), source=WORST)


def _reports_are_losses(trials: Sequence[FrozenTrial], losses: Losses) -> bool:
    among = [
        min(curve) <= losses.final(trial) <= max(curve)
        for trial in trials
        if trial.state is TrialState.COMPLETE
        and math.isfinite(losses.final(trial))
        and (curve := [value for value in losses.curve(trial)[1] if math.isfinite(value)])
    ]
    return bool(among) and sum(among) >= MOSTLY * len(among)


def _stand_in(final: Sequence[float]) -> float | None:
    """The highest loss, where several trials have exactly it and it is a round number far above the others."""
    known = np.array([loss for loss in final if math.isfinite(loss)])
    if not len(known):
        return None
    highest = float(known.max())
    others = known[known < highest]
    is_round = float(f"{highest:.3g}") == highest or highest == np.finfo(float).max
    if len(known) - len(others) < 2 or not len(others) or not is_round:
        return None
    return highest if highest > FAR * max(float(np.median(others)), 0.0) and highest > 2 * others.max() else None
