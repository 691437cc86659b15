"""Retraining one trial alone, to compare it with what was recorded."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from gradstudy.storage.database import Database
from gradstudy.storage.frames import read_steps
from gradstudy.storage.results import Outcome, TrialResult
from gradstudy.study.spec.parts import ALL
from gradstudy.study.training.arrays import BLOCK, Ended, Slots, make_array, make_workspace
from gradstudy.study.training.data import load_data
from gradstudy.study.training.recorded_trial import read_trial

TOLERANCE = 1e-3
"""Relative difference of losses up to which a replay agrees: float32 sums in another order, grown by training."""


@dataclass(frozen=True, kw_only=True)
class Replay:
    """A trial trained again.

    Attributes:
        recorded: the trial's row of ``trial_result``.
        result: of the replay.
        steps: one row for each step, with ``loss_recorded``, ``loss_replayed`` and ``difference``, which is relative.
    """

    recorded: dict[str, Any]
    result: TrialResult
    steps: pd.DataFrame

    @property
    def first_difference(self) -> int | None:
        """The first step whose losses differ by more than ``TOLERANCE``; None when they all agree."""
        differing = self.steps.loc[~(self.steps["difference"] <= TOLERANCE), "step"]
        return None if differing.empty else int(differing.iloc[0])

    @property
    def agrees(self) -> bool:
        """Whether outcome and reason are the same and all losses agree."""
        reason = self.recorded["reason"]
        same_reason = self.result.reason == (None if pd.isna(reason) else reason)
        return self.result.outcome == self.recorded["outcome"] and same_reason and self.first_difference is None


def replay_trial(database: Database, name: str, number: int, device: str = "cpu") -> Replay:
    """Train trial ``number`` of a study again, with its setting and seed, alone in an array.

    A pruned trial is trained as far as it came and pruned there: whether others were ahead is not asked again.

    Raises:
        NotFoundError: there is no such study.
        TrialNotFoundError: there is no such trial, or it has no result yet.
    """
    trial = read_trial(database, name, number)
    recorded, setting, spec = trial.row, trial.setting, trial.spec
    slots = Slots[int](make_array(spec, setting.cell, load_data(spec), 1, make_workspace(spec, device)), spec)
    slots.admit(number, setting, trial.seed)
    is_pruned = recorded["outcome"] == Outcome.PRUNED
    ended = _trained(slots, number, int(recorded["steps"]) if is_pruned else spec.steps)
    losses = pd.Series(ended.trial.telemetry().loss, name="loss_replayed")
    steps = read_steps(database, name, [number])[["step", "loss"]].rename(columns={"loss": "loss_recorded"})
    steps = steps.merge(losses, left_on="step", right_index=True, how="outer" if spec.keep_steps == ALL else "left")
    both_non_finite = steps["loss_recorded"].isna() & ~np.isfinite(steps["loss_replayed"])
    difference = (steps["loss_replayed"] / steps["loss_recorded"] - 1).abs()
    return Replay(
        recorded=recorded,
        result=ended.result,
        steps=steps.assign(difference=difference.mask(both_non_finite, 0.0)),
    )


def _trained(slots: Slots[int], number: int, steps: int) -> Ended[int]:
    """The trial in its only slot when it has ended, or was pruned after so many steps."""
    for made in range(0, steps, BLOCK):
        if ended := slots.advance(min(BLOCK, steps - made)):
            return ended[0]
    return slots.prune(number)
