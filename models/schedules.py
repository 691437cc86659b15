"""How the learning rate of a run changes from step to step. Does not import torch.

The learning rate of a setting is the highest one, which a warm-up leads to and a schedule leads down from.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gradstudy.models.schedule_names import ScheduleName

EXPONENTIAL_END = 0.01
"""The share of the highest learning rate at which an exponential schedule ends."""


@dataclass(frozen=True)
class Schedule:
    """A schedule over a number of steps.

    Attributes:
        name: what follows the warm-up.
        steps: of the run, at least 1.
        warmup: steps in which the learning rate rises linearly; less than ``steps``.
        halve_every: steps between two halvings.
    """

    name: ScheduleName
    steps: int
    warmup: int = 0
    halve_every: int = 1

    @property
    def is_constant(self) -> bool:
        """Whether every step has the same learning rate."""
        return self.name == "constant" and self.warmup == 0

    def factors(self) -> NDArray[np.float64]:
        """The learning rate of each step, [steps], as a share of the highest one."""
        step = np.arange(self.steps)
        rising = (step + 1) / max(self.warmup, 1)
        after, left = step - self.warmup, self.steps - self.warmup
        return np.where(step < self.warmup, rising, self._falling(after.clip(0), left))

    def _falling(self, after: NDArray[np.int64], left: int) -> NDArray[np.float64]:
        match self.name:
            case "constant":
                return np.ones(len(after))
            case "linear":
                return 1 - after / left
            case "cosine":
                return (1 + np.cos(np.pi * after / left)) / 2
            case "exponential":
                return np.asarray(EXPONENTIAL_END ** (after / left), np.float64)
            case "inverse_sqrt":
                known = max(self.warmup, 1)
                return np.sqrt(known / (known + after))
            case "halving":
                return np.asarray(0.5 ** (after // self.halve_every), np.float64)

    def code(self) -> str:
        """The PyTorch that makes it for ``optimizer``; empty where it is constant. ``step()`` follows each step."""
        left, scheduler = self.steps - self.warmup, "torch.optim.lr_scheduler"
        known = max(self.warmup, 1)
        falling = {
            "constant": f"{scheduler}.ConstantLR(optimizer, factor=1.0)",
            "linear": f"{scheduler}.LinearLR(optimizer, start_factor=1.0, end_factor=0.0, total_iters={left})",
            "cosine": f"{scheduler}.CosineAnnealingLR(optimizer, T_max={left})",
            "exponential": f"{scheduler}.ExponentialLR(optimizer, gamma={EXPONENTIAL_END ** (1 / left)!r})",
            "inverse_sqrt": f"{scheduler}.LambdaLR(optimizer, lambda step: ({known} / ({known} + step)) ** 0.5)",
            "halving": f"{scheduler}.StepLR(optimizer, step_size={self.halve_every}, gamma=0.5)",
        }[self.name]
        if self.is_constant:
            return ""
        if not self.warmup:
            return f"schedule = {falling}"
        rising = f"{scheduler}.LinearLR(optimizer, start_factor=1 / {self.warmup}, total_iters={self.warmup - 1})"
        if self.name == "constant":
            return f"schedule = {rising}"
        return (
            f"warmup = {rising}\n"
            f"after = {falling}\n"
            f"schedule = {scheduler}.SequentialLR(optimizer, [warmup, after], milestones=[{self.warmup}])"
        )
