"""What may save a training run that diverged, and the runs that try it."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gradstudy.models.array import TrainingRun
from gradstudy.models.gradient_scales import SCALES
from gradstudy.models.schedules import Schedule
from gradstudy.models.strategies import STRATEGIES
from gradstudy.models.tasks.module_task import is_module_task
from gradstudy.study.spec.checks.recurrence import has_recurrent_layers
from gradstudy.study.spec.seeds import RESCUING, derived_seed, trial_seed
from gradstudy.study.spec.study_spec import StudySpec
from gradstudy.study.training.branch_point import BranchPoint
from gradstudy.study.training.course import Course, own_run
from gradstudy.study.training.probe import SCALES_OF
from gradstudy.study.training.recorded_trial import RecordedTrial

UNCHANGED = "nothing"
WARMUP_SHARE = 0.1
"""Of the study's steps, over which the learning rate rises anew."""


@dataclass(frozen=True, kw_only=True)
class Branch:
    """A run that goes on from a trial with one thing changed.

    Attributes:
        remedy: what is changed, in words.
        run: how it differs from the trial's own training; its seed is that of the order of the data.
        passed_over: batches that it goes past without a step.
        warmup: steps over which its learning rate rises anew.
    """

    remedy: str
    run: TrainingRun
    passed_over: int = 0
    warmup: int = 0


@dataclass(frozen=True)
class Rewarmed(Schedule):
    """A schedule whose learning rates rise anew, linearly, in the middle of a run.

    Attributes:
        begins: the first step of the rise.
        over: how many steps it takes.
    """

    begins: int = 0
    over: int = 1

    @property
    def is_constant(self) -> bool:
        """It never is."""
        return False

    def factors(self) -> NDArray[np.float64]:
        """See Schedule."""
        step = np.arange(self.steps)
        rise = np.where(step < self.begins, 1, (step + 1 - self.begins) / self.over)
        return np.asarray(super().factors() * rise.clip(max=1), np.float64)


def branches(trial: RecordedTrial, course: Course, point: BranchPoint, runs: int) -> list[Branch]:
    """At most so many runs of every remedy; the first of all is a check, in which nothing is changed.

    The first run of a remedy meets the batches that the trial met, the others have an order of their own. Those that
    pass over the bad batches keep the order and differ in how many they pass over. The batches of a model of one's own
    are what they are, and the rates of its own optimizer, too.
    """
    spec, own = trial.spec, own_run(trial)
    study = derived_seed(trial.seed, RESCUING)
    others = [trial_seed(study, number) for number in range(1, max(runs, 2))]
    made = [Branch(remedy=UNCHANGED, run=own)]
    seeds = [trial.seed]
    if not is_module_task(spec.task):
        seeds += others[: runs - 1]
        made += [Branch(remedy="another order of the data", run=replace(own, seed=seed)) for seed in others]
        for further in range(1, min(runs, spec.steps - 1 - point.first_bad) + 1):
            passed_over = point.first_bad - point.step + further
            made.append(Branch(remedy="bad batches passed over", run=own, passed_over=passed_over))
    if spec.optimizer != "own":
        warmup = max(2, round(WARMUP_SHARE * spec.steps))
        for seed in seeds:
            run = replace(own, seed=seed)
            made += [
                Branch(remedy="half the learning rate", run=replace(run, learning_rate=own.learning_rate / 2)),
                Branch(remedy="a tenth of the learning rate", run=replace(run, learning_rate=own.learning_rate / 10)),
                Branch(remedy=f"warm-up anew, {warmup} steps", run=run, warmup=warmup),
            ]
    healthy = course.scales[: max(point.first_bad, 1)]
    recurrent = has_recurrent_layers(spec.task, spec.space)
    for strategy, entry in STRATEGIES.items():
        if strategy != "none" and (recurrent or not entry.inside):
            threshold = usual_threshold(strategy, spec, healthy)
            if (strategy, threshold) == (own.strategy, own.threshold):
                continue  # which the trial itself has
            name = strategy if threshold is None else f"{strategy} at {threshold:g}"
            made += [
                Branch(remedy=name, run=replace(own, seed=seed, strategy=strategy, threshold=threshold))
                for seed in seeds
            ]
    return made


def usual_threshold(strategy: str, spec: StudySpec, scales: NDArray[np.float64]) -> float | None:
    """The threshold that a strategy is tried with.

    Where it is compared with a scale of the gradients (their norm, the largest entry, ...), it is the median of that
    scale over the healthy steps, ``scales`` [steps, len(SCALES)]: half of them are clipped. Otherwise it is the middle
    of the range that the study searches, or would search.
    """
    bounds = spec.space.threshold_range(strategy)
    if bounds is None:
        return None
    middle = float(np.sqrt(bounds[0] * bounds[1]))
    if strategy in SCALES_OF:
        of_strategy = scales[:, SCALES.index(SCALES_OF[strategy][1])]
        median = float(np.nanmedian(np.where(np.isfinite(of_strategy), of_strategy, np.nan)))
        middle = median if 0 < median <= STRATEGIES[strategy].limit else middle
    return float(f"{middle:.3g}")
