"""Real training of one grid of settings to 200, 800, 3,200 and 12,800 steps, kept as data for ``horizon.py``.

A run is trained to each of these in turn and goes on from its checkpoint, so that one run is seen at all four. Further
than the first go settings within reach of the best and those on both sides of a frontier. It can be stopped at any time
and goes on from where it was, a killed one from a minute before. Without its folder it goes on from the data, with
runs that begin anew.

    nice -n 15 python tests/benchmarks/horizon_truth.py train cmudict-sgd copy-adam
    python tests/benchmarks/horizon_truth.py keep
"""

import argparse
import json
import signal
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from gradstudy.study.search.space import Setting
from gradstudy.study.spec.study_spec import StudySpec
from gradstudy.study.training.arrays import BLOCK, Ended, Slots, make_array, make_workspace
from gradstudy.study.training.data import load_data

DATA = Path(__file__).parent / "data"
WORK = Path(__file__).parents[2] / "build" / "horizon-truth"
HORIZONS = (200, 800, 3200, 12800)
SLOTS = 16
SEEDS = 2
KINDS = ("runs", "curves", "seconds")
POINTS = np.unique(np.geomspace(1, HORIZONS[-1], 48).round().astype(int))
"""Steps at which the parts end over which the training loss is averaged."""
BEST = {"sgd": (None, 4, 2, 2), "adam": (None, 4, 1, 2)}
"""For each horizon: settings of a group that are trained so far, beside those next to them; None: every one."""
SETTINGS = (None, None, None, 6)
"""The same of all groups."""
KEPT_EVERY = 60.0
"""Seconds from one checkpoint of all runs to the next."""
GROUP = ["cell", "strategy", "threshold"]
SGD_RATES = {
    ("lstm", "none", None): (1, 2, 4, 8, 16, 22.6, 32, 45.3),
    ("gru", "none", None): (0.5, 1, 2, 4, 5.66, 8, 11.3, 16),
    ("lstm", "norm", 0.1): (2, 4, 8, 16, 32, 64, 90.5, 128),
    ("gru", "norm", 0.1): (2, 4, 8, 16, 32, 45.3, 64, 90.5),
    ("lstm", "value", 0.001): (4, 8, 16, 32, 64, 128, 256, 512),
    ("gru", "value", 0.001): (4, 8, 16, 32, 64, 128, 181, 256),
}
ADAM_RATES = {group: tuple(0.002 * 2**level for level in range(8)) for group in SGD_RATES}
PROBLEMS = {
    f"{task}-{optimizer}": (task, optimizer, rates)
    for task in ("cmudict", "copy")
    for optimizer, rates in (("sgd", SGD_RATES), ("adam", ADAM_RATES))
}


@dataclass(frozen=True)
class Run:
    """One run: a setting and a seed, which all settings share."""

    setting: Setting
    seed: int

    @property
    def name(self) -> str:
        """Of its files."""
        one = self.setting
        return f"{one.cell}-{one.strategy}-{one.threshold}-{one.learning_rate:g}-{self.seed}"

    @property
    def columns(self) -> dict[str, Any]:
        """What it is, as the data have it."""
        one = self.setting
        return {
            "cell": one.cell, "strategy": one.strategy, "threshold": one.threshold,
            "learning_rate": one.learning_rate, "seed": self.seed,
        }  # fmt: skip


class Problem:
    """A task and an optimizer with the runs so far."""

    def __init__(self, name: str) -> None:
        task, optimizer, rates = PROBLEMS[name]
        self.name, self.folder = name, WORK / name
        (self.folder / "states").mkdir(parents=True, exist_ok=True)
        self.spec = StudySpec.model_validate(
            {
                "name": "truth", "task": task, "optimizer": optimizer, "model": {"hidden_size": 32},
                "steps": HORIZONS[0], "batch_size": 32,
            }
        )  # fmt: skip
        self.runs = [
            Run(Setting(cell=cell, strategy=strategy, threshold=threshold, learning_rate=float(rate)), seed)
            for seed in range(SEEDS)
            for (cell, strategy, threshold), of_group in rates.items()
            for rate in of_group
        ]
        if not (self.folder / "runs.jsonl").exists():
            self._read_data()

    def state(self, run: Run) -> Path:
        """Where a run goes on from."""
        return self.folder / "states" / run.name

    def append(self, kind: str, row: dict[str, Any]) -> None:
        """Write a row of ``runs``, ``curves`` or ``seconds``."""
        with (self.folder / f"{kind}.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")

    def rows(self, kind: str) -> list[dict[str, Any]]:
        """What was written."""
        file = self.folder / f"{kind}.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def _read_data(self) -> None:
        """Begin with what was kept of this problem."""
        if not (DATA / "horizon_runs.csv.gz").exists():
            return
        runs, curves, seconds = (_of(pd.read_csv(DATA / f"horizon_{kind}.csv.gz"), self.name) for kind in KINDS)
        names = {tuple(_keys(run.columns)): run.name for run in self.runs}
        for table in (runs, curves):
            table["name"] = [names[tuple(_keys(row))] for row in table.to_dict("records")]
        # Of a run that was stopped only its first row was measured, see every_horizon.
        runs = runs[runs["diverged_at_step"].isna() | ~runs.duplicated(["name", "diverged_at_step"])]
        for row in runs.astype(object).where(runs.notna(), None).to_dict("records"):
            self.append("runs", row)
        for name, row in curves.groupby("name", sort=False):
            loss = [None if value != value else value for value in row["training_loss"]]
            self.append("curves", {"name": name, "at": row["step"].tolist(), "loss": loss})
        for row in seconds.to_dict("records"):
            self.append("seconds", row)

    def wanted(self, steps: int) -> list[Run]:
        """The runs that are to be trained to so many steps and were not."""
        rows = self.rows("runs")
        reached = {row["name"] for row in rows if row["steps"] == steps}
        stopped = {row["name"] for row in rows if row["diverged_at_step"] is not None}
        waiting = [run for run in self.runs if run.name not in reached | stopped]
        place = HORIZONS.index(steps)
        best = BEST[self.spec.optimizer][place]
        if best is None:
            return waiting
        before = pd.DataFrame([row for row in rows if row["steps"] == HORIZONS[place - 1]])
        order = _in_reach(before, best, SETTINGS[place])
        return sorted((run for run in waiting if run.name in order), key=lambda run: order[run.name])


def _in_reach(rows: pd.DataFrame, best: int, settings: int | None) -> dict[str, int]:
    """The runs that are trained further, by name, with their order.

    Those with the lowest losses; of each group the ones on both sides of its frontier; and unless only so many settings
    are wanted, of each the next lower learning rate.
    """
    alive = rows[rows["diverged_at_step"].isna()]
    keys = [*GROUP, "learning_rate"]
    means = alive.groupby(keys, dropna=False).agg(
        loss=("objective", "mean"), lost=("outcome", lambda outcomes: (outcomes == "diverged").any())
    )
    means = means.reset_index().sort_values("loss", kind="stable")
    lowest = means[means.groupby(GROUP, dropna=False).cumcount() < best].head(settings or len(means))
    chosen = [lowest]
    for _, group in means.groupby(GROUP, dropna=False):
        kept, lost = (group[which].sort_values("learning_rate") for which in (~group["lost"], group["lost"]))
        lower = kept[kept["learning_rate"] < group["learning_rate"].iloc[0]].tail(1)
        chosen += [lower] if settings is None else []
        chosen += [kept.tail(1), lost.head(1)] if len(lost) else []
    order = pd.concat(chosen).drop_duplicates(keys)[keys].assign(rank=lambda each: range(len(each)))
    found = alive.merge(order, on=keys)
    return dict(zip(found["name"], found["rank"], strict=True))


def _of(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """The rows of one problem."""
    task, optimizer = name.split("-")
    of_problem = (table["task"] == task) & (table["optimizer"] == optimizer)
    return table[of_problem].drop(columns=["task", "optimizer"])


def _keys(row: dict[Any, Any]) -> list[Any]:
    """What a run is, of its columns or of a row of the data."""
    return [None if row[name] != row[name] else row[name] for name in (*GROUP, "learning_rate", "seed")]


class StoppedError(Exception):
    """It was asked to end."""


def train(problem: Problem, steps: int) -> None:
    """Train the runs that are wanted to so many steps."""
    waiting = problem.wanted(steps)[::-1]
    if not waiting:
        return
    spec = problem.spec.model_copy(update={"steps": steps})
    data, workspace = load_data(spec), make_workspace(spec, "cpu")
    slots = {cell: Slots[Run](make_array(spec, cell, data, SLOTS, workspace), spec) for cell in spec.space.cells}
    begun, made = (time.monotonic(), time.process_time()), 0
    kept = begun[0]
    try:
        while waiting or any(each.keys for each in slots.values()):
            _admit(problem, waiting, slots)
            for each in slots.values():
                if not each.keys:
                    continue
                made += BLOCK * len(each.keys)
                for ended in each.advance():
                    _record(problem, ended, steps)
                for run, at in each.steps():
                    if at == steps - BLOCK and steps < HORIZONS[-1]:
                        _keep(problem, each, run)
            if stopping or time.monotonic() - kept > KEPT_EVERY:
                for each in slots.values():
                    for run in each.keys:
                        _keep(problem, each, run)
                kept = time.monotonic()
            if stopping:
                raise StoppedError
    finally:
        wall, cpu = time.monotonic() - begun[0], time.process_time() - begun[1]
        problem.append("seconds", {"steps": steps, "made": made, "wall": wall, "cpu": cpu})
        print(f"{problem.name} to {steps}: {made} steps, {wall:.0f} s, {cpu:.0f} s of a core", flush=True)


def _admit(problem: Problem, waiting: list[Run], slots: dict[Any, Slots[Run]]) -> None:
    for place in range(len(waiting) - 1, -1, -1):
        mine = slots[waiting[place].setting.cell]
        if len(mine.keys) < SLOTS:
            run = waiting.pop(place)
            file = problem.state(run)
            mine.admit(run, run.setting, run.seed, states=[file.read_bytes()] if file.exists() else [])


def _keep(problem: Problem, slots: Slots[Run], run: Run) -> None:
    state = slots.state(run)
    assert state is not None
    file = problem.state(run)
    new = file.with_suffix(file.suffix + ".new")
    new.write_bytes(state)
    new.replace(file)


def _record(problem: Problem, ended: Ended[Run], steps: int) -> None:
    result, run = ended.result.columns(), ended.key
    names = ("outcome", "reason", "diverged_at_step", "initial_loss", "final_loss", "initial_validation_loss")
    row = {"name": run.name, **run.columns, "steps": steps}
    for name in (*names, "validation_loss", "objective", "clipped_fraction"):
        value = result[name]
        row[name] = None if value is None or value != value else value
    losses = np.asarray(ended.trial.telemetry().loss, float)
    ends = [int(point) for point in POINTS if point <= len(losses)]
    parts = np.split(losses[: ends[-1]], ends[:-1])
    means = [float(np.mean(part)) if np.isfinite(part).all() else None for part in parts]
    problem.append("curves", {"name": run.name, "steps": steps, "at": ends, "loss": means})
    problem.append("runs", row)


stopping = False


def _stop(*_: object) -> None:
    global stopping
    stopping = True


def every_horizon(rows: pd.DataFrame) -> Iterator[dict[Any, Any]]:
    """The rows of runs with one for each horizon that they reached, or did not because they had diverged before."""
    for row in rows.to_dict("records"):
        yield row
        if pd.notna(row["diverged_at_step"]):
            yield from ({**row, "steps": steps} for steps in HORIZONS if steps > row["steps"])


def keep(problems: Iterable[Problem]) -> None:
    """Write the data."""
    runs, curves, seconds = [], [], []
    for problem in problems:
        labels = dict(zip(("task", "optimizer"), problem.name.split("-"), strict=True))
        rows = pd.DataFrame(problem.rows("runs"))
        if rows.empty:
            continue
        rows = rows.drop_duplicates(["name", "steps"], keep="last")
        runs += [labels | row for row in every_horizon(rows)]
        longest = {row["name"]: row for row in problem.rows("curves")}
        identity = rows.drop_duplicates("name").set_index("name")[[*GROUP, "learning_rate", "seed"]].to_dict("index")
        for name, row in longest.items():
            points = zip(row["at"], row["loss"], strict=True)
            curves += [labels | identity[name] | {"step": at, "training_loss": loss} for at, loss in points]
        seconds += [labels | row for row in problem.rows("seconds")]
    order = ["task", "optimizer", *GROUP, "learning_rate", "seed"]
    _write("horizon_runs", pd.DataFrame(runs).drop(columns="name").sort_values([*order, "steps"]))
    _write("horizon_curves", pd.DataFrame(curves).sort_values([*order, "step"]))
    _write("horizon_seconds", pd.DataFrame(seconds))


def _write(name: str, table: pd.DataFrame) -> None:
    file = DATA / f"{name}.csv.gz"
    table.to_csv(file, index=False, float_format="%.5g", compression={"method": "gzip", "mtime": 0})
    print(f"{len(table)} rows: {file}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["train", "keep"])
    parser.add_argument("problems", nargs="*", metavar="PROBLEM", help=", ".join(PROBLEMS))
    given = parser.parse_args()
    if unknown := set(given.problems) - set(PROBLEMS):
        parser.error(f"problems are {', '.join(PROBLEMS)}, but got {', '.join(sorted(unknown))}")
    problems = [Problem(name) for name in given.problems or PROBLEMS]
    if given.what == "keep":
        keep(problems)
        return
    torch.set_num_threads(1)
    signal.signal(signal.SIGTERM, _stop)
    try:
        for steps in HORIZONS:
            for problem in problems:
                train(problem, steps)
    except StoppedError:
        print("stopped: the same command goes on", flush=True)


if __name__ == "__main__":
    main()
