"""Which remedies save runs that diverged: `gradstudy rescue` for many trials of a study, and what it found in a table.

A trial counts once, as the share of its runs that survived; intervals are Wilson's over trials. Trials that had
learned something (the smoothed loss lay 10% below the untrained one) before they went wrong are counted apart from
those that went wrong at their start, as remedies for these begin anew.

    gradstudy launch copy --task copy --hidden 16 --steps 200 --sampler qmc --trials 500
    python tests/benchmarks/remedies.py copy --trials 100 --runs 2 --output copy.csv
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import torch

from gradstudy.storage.database import Database
from gradstudy.storage.default_storage import DEFAULT_STORAGE
from gradstudy.storage.frames import read_trials
from gradstudy.study.errors import NothingToRescueError
from gradstudy.study.statistics.rates import wilson_interval
from gradstudy.study.training.data import load_data
from gradstudy.study.training.recorded_trial import read_trial
from gradstudy.study.training.rescue import try_remedies

LEARNED = 0.9
"""Of the untrained loss: below it a trial had learned something."""


def rescued(storage: str, name: str, first: int, trials: int, runs: int) -> Iterator[pd.DataFrame]:
    """The tables of so many diverged trials of a study that can be rescued, from number ``first`` on."""
    data, done = None, 0
    with Database.open(storage) as database:
        recorded = read_trials(database, name)
        wanted = (recorded["outcome"] == "diverged") & (recorded["number"] >= first)
        for number in recorded.loc[wanted, "number"]:
            try:
                trial = read_trial(database, name, int(number))
                data = data or load_data(trial.spec)  # the same for all, as nothing of it is varied
                tried = try_remedies(trial, data, f"trial {number}", runs=runs, device="cpu")
            except NothingToRescueError as error:
                print(error, flush=True)
                continue
            initial_loss = tried.trial.row["initial_loss"]
            yield tried.table.assign(
                number=number,
                learned=tried.point.lowest < LEARNED * initial_loss,
                reproduced=tried.reproduced,
                strategy=tried.trial.setting.strategy,
            )
            done += 1
            if done == trials:
                break


def summary(tables: pd.DataFrame) -> pd.DataFrame:
    """One row for each remedy, whatever its threshold: trials, share that survived, loss over untrained."""
    remedy = tables["remedy"].str.partition(" at ")[0]
    relative = tables["loss"] / tables["untrained_loss"]
    worth = tables["share"] * relative.fillna(0) + (1 - tables["share"])
    rows = (
        tables.assign(remedy=remedy, relative=relative, worth=worth)
        .groupby("remedy")
        .agg(trials=("share", "size"), share=("share", "mean"), relative=("relative", "mean"), worth=("worth", "mean"))
    )
    bounds = [wilson_interval(row.share * row.trials, row.trials) for row in rows.itertuples()]
    rows.insert(2, "low", [low for low, _ in bounds])
    rows.insert(3, "high", [high for _, high in bounds])
    return rows.sort_values("worth")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study")
    parser.add_argument("--storage", default=DEFAULT_STORAGE)
    parser.add_argument("--first", type=int, default=0, help="number of the first trial that is looked at")
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--output", type=Path, help="where the tables of the trials are kept, as they come")
    given = parser.parse_args()
    torch.set_num_threads(1)
    start = time.monotonic()
    parts: list[pd.DataFrame] = []
    for part in rescued(given.storage, given.study, given.first, given.trials, given.runs):
        parts.append(part)
        if given.output is not None:
            pd.concat(parts).to_csv(given.output, index=False)
    tables = pd.concat(parts, ignore_index=True)
    of_trials = tables.drop_duplicates("number")
    print(
        f"{len(of_trials)} trials, {int(of_trials['learned'].sum())} had learned something, "
        f"{int(of_trials['reproduced'].sum())} diverged again with nothing changed; {time.monotonic() - start:.0f} s"
    )
    for learned, rows in tables.groupby("learned"):
        print("\nhad learned something" if learned else "\nwrong from their start")
        print(summary(rows).round(3).to_string())


if __name__ == "__main__":
    main()
