"""What would have saved a trial that diverged: its state, shortly before, branched with remedies."""

import math
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import pandas as pd

from gradstudy.models.array import TrialArray
from gradstudy.models.trainable import Trainable
from gradstudy.models.user_module.array import ModuleArray
from gradstudy.models.workspace import Workspace
from gradstudy.storage.database import Database
from gradstudy.storage.results import Outcome, TrialResult
from gradstudy.study.divergence import Verdict
from gradstudy.study.errors import NothingToRescueError
from gradstudy.study.statistics.rates import wilson_interval
from gradstudy.study.training.arrays import Slots, make_array, make_workspace, skips_steps
from gradstudy.study.training.branch_point import BranchPoint, branch_point
from gradstudy.study.training.course import Course, begin, follow, own_run
from gradstudy.study.training.data import load_data
from gradstudy.study.training.recorded_trial import RecordedTrial, read_trial
from gradstudy.study.training.remedies import UNCHANGED, Branch, Rewarmed, branches
from gradstudy.study.training.slots import choose_slots
from gradstudy.study.training.trial import Trial


@dataclass(frozen=True, kw_only=True)
class Rescue:
    """How remedies fared.

    Attributes:
        trial: that diverged.
        verdict: how it diverged when it was trained again.
        point: from where it was branched.
        untrained: the validation loss of the untrained model.
        reproduced: whether the run in which nothing was changed diverged as the trial did.
        table: one row for each remedy, that which saved most first, with

            - ``remedy``, in words,
            - ``runs``, ``survived``: how many there were, and did not diverge to the study's last step,
            - ``share``, ``share_low``, ``share_high``: of the runs, with its 95% Wilson interval,
            - ``loss``: the mean validation loss of those that survived; NaN where none did,
            - ``untrained_loss``: beside it.
    """

    trial: RecordedTrial
    verdict: Verdict
    point: BranchPoint
    untrained: float
    reproduced: bool
    table: pd.DataFrame


def rescue_trial(
    database: Database,
    name: str,
    number: int,
    *,
    runs: int = 16,
    device: str = "cpu",
    advanced: Callable[[float], None] = lambda share: None,
) -> Rescue:
    """Try remedies on a diverged trial of a study; nothing is stored.

    Args:
        database: where the study is.
        name: of the study.
        number: of the trial.
        runs: of each remedy, each with an order of the data of its own.
        device: where to train.
        advanced: is told which share of the work is done.

    Raises:
        NotFoundError: there is no such study.
        TrialNotFoundError: there is no such trial, or it has no result yet.
        NothingToRescueError: it did not diverge, or not because of its training.
        TrialsFailError: the user's own code fails.
    """
    trial, called = read_trial(database, name, number), f"trial {number} of study {name!r}"
    outcome = trial.row["outcome"]
    if outcome != Outcome.DIVERGED:
        raise NothingToRescueError(f"only a trial that diverged can be rescued, but {called} is {outcome}")
    return try_remedies(trial, load_data(trial.spec), called, runs=runs, device=device, advanced=advanced)


def try_remedies(
    trial: RecordedTrial,
    data: Trainable,
    called: str,
    *,
    runs: int,
    device: str,
    advanced: Callable[[float], None] = lambda share: None,
) -> Rescue:
    """As ``rescue_trial``, with a trial and data that were read."""
    spec = trial.spec
    workspace = make_workspace(spec, device)
    course = follow(trial, data, workspace)
    if course.verdict.outcome != "diverged":
        raise NothingToRescueError(
            f"{called} diverged when it was recorded, but trained here it has {course.verdict.outcome}, so that there "
            "is nothing to rescue; gradstudy replay compares the two"
        )
    point = branch_point(course, spec)
    if course.verdict.step == 0 and not np.isfinite(course.losses[0] + course.norms[0]):
        raise NothingToRescueError(
            f"the first step of {called} has a loss or gradient that is not finite, before anything was trained, so "
            "that no remedy can save it: look at the data and the loss"
        )
    if point.first_bad >= len(course.losses):
        raise NothingToRescueError(
            f"{called} ended within noise of its lowest loss, so that there is no bad step to go back from"
        )
    waiting = branches(trial, course, point, runs)
    slots = choose_slots(spec.model_copy(update={"trials": len(waiting)}), data, device)
    waves = _waves(waiting, slots)
    results: dict[str, list[TrialResult]] = {branch.remedy: [] for branch in waiting}
    for done, wave in enumerate(waves):
        advanced(done / len(waves))
        for branch, result in _trained(trial, data, workspace, course, point, wave):
            results[branch.remedy].append(result)
    advanced(1.0)
    (control,) = results[UNCHANGED]
    table = pd.DataFrame([_row(remedy, ended, course.untrained) for remedy, ended in results.items()])
    return Rescue(
        trial=trial,
        verdict=course.verdict,
        point=point,
        untrained=course.untrained,
        reproduced=(control.outcome, control.reason, control.diverged_at_step)
        == (course.verdict.outcome, course.verdict.reason, course.verdict.step),
        table=table.sort_values(["share", "loss"], ascending=[False, True], kind="stable", ignore_index=True),
    )


def _waves(waiting: list[Branch], slots: int) -> list[list[Branch]]:
    """The branches in groups that an array takes at once: of one schedule, and no more than its slots."""
    waves = []
    for warmup in sorted({branch.warmup for branch in waiting}):
        alike = [branch for branch in waiting if branch.warmup == warmup]
        waves += [alike[first : first + slots] for first in range(0, len(alike), slots)]
    return waves


def _trained(
    trial: RecordedTrial,
    data: Trainable,
    workspace: Workspace,
    course: Course,
    point: BranchPoint,
    wave: Sequence[Branch],
) -> list[tuple[Branch, TrialResult]]:
    """Train branches of one schedule from where they leave the trial to the study's last step."""
    spec, schedule = trial.spec, trial.spec.learning_rates
    if wave[0].warmup:
        schedule = Rewarmed(**vars(schedule), begins=point.step, over=wave[0].warmup)
    array = make_array(spec, trial.setting.cell, data, len(wave), workspace, schedule)
    runs = [branch.run for branch in wave]
    if isinstance(array, ModuleArray):
        # What a model of the user's own keeps from step to step cannot be copied: it is trained from its beginning.
        for _ in runs:
            array.admit(own_run(trial))
        array.train_then_change(point.step, runs)
    else:
        _branch(array, trial, data, workspace, point, wave)
    monitor = course.monitor_at(point.step, spec)
    slots = Slots[Branch](array, spec)
    for branch in wave:
        own = deepcopy(monitor)
        own.guard = skips_steps(array, branch.run)
        own.steps += branch.passed_over
        slots.take_up(branch, Trial(branch.run, own, course.untrained, schedule))
    results = []
    while slots.keys:
        results += [(ended.key, ended.result) for ended in slots.advance()]
    return results


def _branch(
    array: TrialArray,
    trial: RecordedTrial,
    data: Trainable,
    workspace: Workspace,
    point: BranchPoint,
    wave: Sequence[Branch],
) -> None:
    """Fill an array with branches; their strategies look on from the first step, so that they know all norms."""
    source = begin(trial, data, workspace)
    assert isinstance(source, TrialArray)
    for branch in wave:
        array.admit(branch.run)
    source.watch = array.look_on
    if point.step:
        source.train(point.step)
    array.branch_from(source, [branch.passed_over for branch in wave])


def _row(name: str, results: list[TrialResult], untrained: float) -> dict[str, object]:
    survived = [result for result in results if result.outcome in (Outcome.TRAINED, Outcome.STALLED)]
    low, high = wilson_interval(len(survived), len(results))
    losses = [result.validation_loss for result in survived if result.validation_loss is not None]
    return {
        "remedy": name,
        "runs": len(results),
        "survived": len(survived),
        "share": len(survived) / len(results),
        "share_low": low,
        "share_high": high,
        "loss": math.fsum(losses) / len(losses) if losses else math.nan,
        "untrained_loss": untrained,
    }
