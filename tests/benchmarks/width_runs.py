"""Runs of models of several widths, kept as data: what ``width.py`` predicts from, and the truth.

Each file holds, of one task, runs at hidden 32, 64 and 128 and at 512, in both parametrizations; mup has base width 64,
where it is the same as the standard one and is not trained twice. It goes on where it was stopped.

    python tests/benchmarks/width_runs.py copy|reverse
"""

import argparse
import csv
import gzip
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from gradstudy.study.search.space import Setting
from gradstudy.study.spec.study_spec import StudySpec
from gradstudy.study.training.arrays import Slots, make_array, make_workspace
from gradstudy.study.training.data import load_data

DATA = Path(__file__).parent / "data"
BASE, SMALL, LARGE = 64, (32, 64, 128), 512
STEP = 0.2
"""Decades from one learning rate to the next."""
SEEDS = {32: 2, 64: 2, 128: 2, 512: 3}
SLOTS = {32: 16, 64: 16, 128: 8, 512: 4}
DECADES = {"sgd": (-5, 11), "adam": (-15, 1)}
"""The lowest and the highest learning rate, in steps from 1."""
BELOW, FAR_BELOW, ABOVE = 3, 7, 2
"""Steps below the best learning rate at hidden 128, far below it with Adam in the standard parametrization, and above
its frontier between which hidden 512 is trained."""
KEPT = ("outcome", "reason", "steps", "initial_loss", "final_loss", "initial_validation_loss", "validation_loss")


@dataclass(frozen=True)
class Group:
    """What runs have in common but for width, learning rate and seed."""

    cell: str
    optimizer: str
    strategy: str
    parametrization: str

    @property
    def threshold(self) -> float | None:
        """That the strategy clips at."""
        return 1.0 if self.strategy == "norm" else None


GROUPS = [
    Group(cell, optimizer, strategy, parametrization)
    for cell, optimizer, strategy in (("lstm", "sgd", "norm"), ("lstm", "adam", "norm"))
    for parametrization in ("standard", "mup")
]


def spec_of(task: str, group: Group, hidden: int) -> StudySpec:
    """What one array trains."""
    return StudySpec.model_validate(
        {
            "name": "width",
            "task": task,
            "task_options": {"max_length": 6},
            "model": {
                "hidden_size": hidden,
                "embedding_size": 32,
                "parametrization": group.parametrization,
                "base_width": BASE,
            },
            "optimizer": group.optimizer,
            "steps": 100,
            "batch_size": 16,
            "space": {"cells": [group.cell], "strategies": [group.strategy]},
        }
    )


def train(task: str, group: Group, hidden: int, wanted: list[tuple[int, int]]) -> Iterator[dict[str, Any]]:
    """A row for each run of ``wanted``: the learning rate in steps, and the seed."""
    spec = spec_of(task, group, hidden)
    slots = Slots[tuple[int, int]](
        make_array(spec, group.cell, load_data(spec), SLOTS[hidden], make_workspace(spec, "cpu")), spec
    )
    waiting = wanted[::-1]
    while waiting or slots.keys:
        while waiting and len(slots.keys) < SLOTS[hidden]:
            place, seed = waiting.pop()
            setting = Setting(
                cell=group.cell, strategy=group.strategy, threshold=group.threshold, learning_rate=rate_of(place)
            )
            slots.admit((place, seed), setting, seed)
        for ended in slots.advance():
            place, seed = ended.key
            result = ended.result.columns()
            row = {**asdict(group), "hidden_size": hidden, "place": place, "seed": seed}
            yield row | {name: result[name] for name in KEPT}


def rate_of(place: int) -> float:
    """A learning rate."""
    return float(10 ** (place * STEP))


def window(group: Group, rows: pd.DataFrame) -> tuple[int, int]:
    """Where hidden 512 is trained, by the runs of its group at hidden 128."""
    lost = rows["outcome"] == "diverged"
    losses = rows["validation_loss"].where(~lost, rows["initial_validation_loss"]).groupby(rows["place"]).mean()
    kept = rows.assign(lost=lost).groupby("place")["lost"].mean() < 0.5
    below = FAR_BELOW if (group.optimizer, group.parametrization) == ("adam", "standard") else BELOW
    return int(losses.idxmin()) - below, int(kept[kept].index.max()) + ABOVE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=["copy", "reverse"])
    parser.add_argument("--seconds", type=float, default=3600.0, help="of processor time, after which it stops")
    given = parser.parse_args()
    torch.set_num_threads(1)
    raw = DATA / f"width-{given.task}.csv"
    done = pd.read_csv(raw) if raw.exists() else pd.DataFrame()
    for group in GROUPS:
        for hidden in (*SMALL, LARGE):
            if group.parametrization == "mup" and hidden == BASE:
                continue
            done = _train_rest(given.task, group, hidden, done, raw, given.seconds)
            with gzip.GzipFile(raw.with_suffix(".csv.gz"), "wb", mtime=0) as packed:
                packed.write(raw.read_bytes())
    print(f"{len(done)} runs in {time.process_time():.0f} s of processor time here: {raw.with_suffix('.csv.gz')}")


def _train_rest(task: str, group: Group, hidden: int, done: pd.DataFrame, raw: Path, seconds: float) -> pd.DataFrame:
    """Train what is missing of a group at one width, the middle learning rates first."""
    low, high = DECADES[group.optimizer]
    mine = of_group(done, group) if len(done) else done
    if hidden == LARGE:
        low, high = window(group, mine[mine["hidden_size"] == SMALL[-1]])
    places = [*range(low, high + 1, 2), *range(low + 1, high + 1, 2)]
    wanted = [(place, seed) for seed in range(SEEDS[hidden]) for place in places]
    known = set() if mine.empty else set(
        mine.loc[mine["hidden_size"] == hidden, ["place", "seed"]].itertuples(index=False, name=None)
    )  # fmt: skip
    rows = []
    for row in train(task, group, hidden, [each for each in wanted if each not in known]):
        rows.append(row)
        new = not raw.exists()
        with raw.open("a", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(row))
            if new:
                writer.writeheader()
            writer.writerow(
                {name: f"{value:.5g}" if isinstance(value, float) else value for name, value in row.items()}
            )
        if time.process_time() > seconds:
            raise SystemExit(f"stopped after {seconds:g} s; the same command goes on")
    print(f"hidden {hidden}, {group}: {len(rows)} runs, {time.process_time():.0f} s", flush=True)
    return pd.concat([done, pd.DataFrame(rows)], ignore_index=True)


def of_group(rows: pd.DataFrame, group: Group) -> pd.DataFrame:
    """The runs of a group; of mup at the base width those of the standard one."""
    same = pd.Series(True, rows.index)
    for name in ("cell", "optimizer", "strategy"):
        same &= rows[name] == getattr(group, name)
    at_base = (rows["hidden_size"] == BASE) & (rows["parametrization"] == "standard")
    return rows[same & ((rows["parametrization"] == group.parametrization) | at_base)]


if __name__ == "__main__":
    main()
