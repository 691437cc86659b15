"""A task of the user's own whose data come slowly until a file says otherwise: a study that a test can stop in time."""

from pathlib import Path

SOURCE = """
import time
from pathlib import Path

import torch
from torch import nn


def problem(seed, gate, delay, free, varied):
    def batches(step):
        end = time.monotonic() + delay
        while step >= free and not Path(gate).exists() and time.monotonic() < end:
            time.sleep(0.01)
        x = torch.randn(4, 3, generator=torch.Generator().manual_seed(1000 * seed + step)) * varied + (1 - varied)
        return x, x.sum(1, keepdim=True)

    return nn.Linear(3, 1), batches, lambda model, batch: nn.functional.l1_loss(model(batch[0]), batch[1])
"""


class SlowData:
    """The task in a folder."""

    def __init__(self, folder: Path, delay: float, *, free: int = 10, varied: bool = True) -> None:
        """Write it down.

        Args:
            folder: to begin studies in.
            delay: seconds that each further step of training waits for the gate at most.
            free: steps that do not wait.
            varied: whether batches differ; where they do not, ten steps learn them.
        """
        (folder / "behind_a_gate.py").write_text(SOURCE)
        self.gate = folder / "gate"
        self.task = "module:behind_a_gate:problem"
        self.options = {"gate": str(self.gate), "delay": delay, "free": free, "varied": int(varied)}
        self.folder = folder

    def flags(self) -> list[str]:
        """Those of a launch."""
        options = [f"--task-option={name}={value}" for name, value in self.options.items()]
        return [f"--task={self.task}", *options]
