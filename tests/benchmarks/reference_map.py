"""A dense map of how runs end over cell, strategy, threshold and learning rate, trained once and kept as data.

It stands in for training in ``search.py``: a setting is answered with a run that was made of it. Each half-decade of
threshold is represented by its middle; learning rates lie close together, each with several seeds.

    python tests/benchmarks/reference_map.py copy|cmudict
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from gradstudy.storage.bins import half_decade
from gradstudy.study.search.space import Setting
from gradstudy.study.spec.study_spec import StudySpec
from gradstudy.study.training.arrays import Slots, make_array, make_workspace
from gradstudy.study.training.data import load_data

DATA = Path(__file__).parent / "data"
SLOTS = 32


@dataclass(frozen=True, kw_only=True)
class Map:
    """What is trained for a map.

    Attributes:
        spec: with the space.
        step: decades from one learning rate to the next.
        seeds: runs of each setting.
    """

    spec: StudySpec
    step: float
    seeds: int

    @property
    def file(self) -> Path:
        """Where the map is kept."""
        return DATA / f"{self.spec.task}.csv.gz"


COPY = Map(
    spec=StudySpec.model_validate(
        {
            "name": "map",
            "task": "copy",
            "task_options": {"max_length": 6},
            "model": {"hidden_size": 16},
            "steps": 200,
            "batch_size": 16,
            "space": {
                "strategies": ["none", "norm", "value", "normalize"],
                "learning_rate": [0.1, 1000.0],
                # From the beginning of one half-decade to the end of another.
                "thresholds": {"norm": [0.0317, 3.16], "value": [0.001, 0.0999], "normalize": [0.0317, 3.16]},
            },
        }
    ),
    step=0.05,
    seeds=8,
)
CMUDICT = Map(
    spec=StudySpec.model_validate(
        {"name": "map", "task": "cmudict", "model": {"hidden_size": 32}, "steps": 200, "batch_size": 32}
    ),
    step=0.2,
    seeds=4,
)
MAPS = {"copy": COPY, "cmudict": CMUDICT}


def columns(spec: StudySpec) -> Iterator[tuple[str, float | None]]:
    """Every strategy with the bin of each half-decade of its threshold."""
    for strategy in spec.space.strategies:
        bounds = spec.space.threshold_range(strategy)
        if bounds is None:
            yield strategy, None
        else:
            halves = (2 * np.log10(bounds)).round(2)
            for half in range(int(np.floor(halves[0])), int(np.ceil(halves[1]))):
                yield strategy, half_decade(10 ** (half / 2))


def runs(wanted: Map) -> Iterator[tuple[Setting, float | None, int]]:
    """Every setting with its threshold's bin and a seed."""
    low, high = np.log10(wanted.spec.space.learning_rate)
    for cell in wanted.spec.space.cells:
        for strategy, threshold_bin in columns(wanted.spec):
            threshold = None if threshold_bin is None else threshold_bin * 10**0.25
            for decade in np.arange(low, high + wanted.step / 2, wanted.step):
                setting = Setting(cell=cell, strategy=strategy, threshold=threshold, learning_rate=float(10**decade))
                for seed in range(wanted.seeds):
                    yield setting, threshold_bin, seed


def train(wanted: Map) -> Iterator[dict[str, Any]]:
    """The rows of the map."""
    spec = wanted.spec
    data, workspace = load_data(spec), make_workspace(spec, "cpu")
    arrays = {cell: Slots(make_array(spec, cell, data, SLOTS, workspace), spec) for cell in spec.space.cells}
    waiting = list(runs(wanted))[::-1]
    while waiting or any(slots.keys for slots in arrays.values()):
        while waiting and len(arrays[waiting[-1][0].cell].keys) < SLOTS:
            key = waiting.pop()
            # Every run has data and parameters of its own, as in a study.
            arrays[key[0].cell].admit(key, key[0], len(waiting) * wanted.seeds + key[2])
        for slots in arrays.values():
            for ended in slots.advance() if slots.keys else ():
                setting, threshold_bin, seed = ended.key
                result = ended.result.columns()
                kept = ("outcome", "reason", "steps", "initial_loss", "final_loss", "initial_validation_loss")
                yield {
                    "cell": setting.cell,
                    "strategy": setting.strategy,
                    "threshold_bin": threshold_bin,
                    "learning_rate": setting.learning_rate,
                    "seed": seed,
                    **{name: result[name] for name in (*kept, "validation_loss")},
                }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=MAPS)
    wanted = MAPS[parser.parse_args().task]
    torch.set_num_threads(1)
    total, start, rows = sum(1 for _ in runs(wanted)), time.monotonic(), []
    for row in train(wanted):
        rows.append(row)
        if len(rows) % 1000 == 0:
            print(f"{len(rows)}/{total} runs, {time.monotonic() - start:.0f} s", flush=True)
    table = pd.DataFrame(rows).sort_values(["cell", "strategy", "threshold_bin", "learning_rate", "seed"])
    wanted.file.parent.mkdir(exist_ok=True)
    table.to_csv(wanted.file, index=False, float_format="%.5g", compression={"method": "gzip", "mtime": 0})
    print(f"{len(rows)} runs in {time.monotonic() - start:.0f} s: {wanted.file}")


if __name__ == "__main__":
    main()
