"""How well a horizon is predicted and answered, against the real runs of ``horizon_truth.py``.

For each task and optimizer the beliefs of the models are those fitted to the other ones. A study has every setting with
two short runs; its longer runs are those that the rungs would have. The shares of steps count every run at its full
length, against all settings with as many runs at the horizon.

    python tests/benchmarks/horizon.py
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from gradstudy.study.horizon.beliefs import Beliefs

DATA = Path(__file__).parent / "data" / "horizon_runs.csv.gz"
KEYS = ["cell", "strategy", "threshold", "learning_rate"]
LENGTHS = (200, 800, 3200, 12800)


@dataclass(frozen=True)
class Truth:
    """Runs of one task and optimizer."""

    name: str
    runs: pd.DataFrame

    def settings(self, steps: int) -> pd.DataFrame:
        """A row for each setting with runs of so many steps: ``loss``, ``diverged``, ``runs``."""
        of_length = self.runs[self.runs["steps"] == steps]
        return of_length.groupby(KEYS, dropna=False, as_index=False).agg(
            loss=("objective", "mean"), diverged=("lost", "sum"), runs=("lost", "size")
        )


def read() -> dict[str, Truth]:
    """The truth of every task and optimizer."""
    runs = pd.read_csv(DATA)
    runs["lost"] = runs["outcome"] == "diverged"
    runs["factors"] = ""
    runs = runs.rename(columns={"initial_validation_loss": "untrained"})
    return {
        f"{task} {optimizer}": Truth(f"{task} {optimizer}", each.reset_index(drop=True))
        for (task, optimizer), each in runs.groupby(["task", "optimizer"])
    }
