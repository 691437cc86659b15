"""What a study pays for its frontiers that begins with what another one found, where the truth of both is known.

The other study is of the same frontiers, moved and tilted by chance, or of others altogether. What counts is what the
report says of the new one, with and without the other; its sampler, eight trials at once, is that of the frontiers.

    python tests/benchmarks/like.py [--repetitions N] [--cases NAME,...] [--first SEED]
"""

import argparse
import json
import statistics
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
from search import WANTED, errors, searched, steps_to
from search_problems import SHAPES, Point, SimulatedEdges

from gradstudy.study.frontier.found import found

CHECKS = (24, 32, 40, 48, 56, 64, 72, 80, 96, 112, 128, 160)
"""Trials after which the frontiers are estimated."""
TRIALS_OF_THE_OTHER = 300


@dataclass(frozen=True)
class Case:
    """How the other study differs.

    Attributes:
        shape: of its edges.
        moved: decades by which they all lie higher.
        tilt: standard deviation, in decades, of what each end of each group's thresholds is moved besides.
        turned: whether they are at the largest threshold what the shape is at the smallest.
    """

    shape: str
    moved: float = 0.0
    tilt: float = 0.0
    turned: bool = False


SHAPE, SLOPE = "falling", 8.0
"""Of the new study."""
CASES = {
    "the same": Case("falling"),
    "alike": Case("falling", 0.15, 0.05),
    "moved": Case("falling", 0.5, 0.05),
    "tilted": Case("falling", 0.2, 0.2),
    "other": Case("flat", -0.8, 0.1),
    "knee": Case("knee", 1.0, 0.3),
    "opposite": Case("falling", tilt=0.1, turned=True),
}


class MovedEdges(SimulatedEdges):
    """Edges that lie elsewhere, by chance."""

    def __init__(self, case: Case, seed: int) -> None:
        super().__init__(case.shape, SLOPE)
        self._case, random = case, np.random.default_rng([seed, 3])
        if case.turned:
            self._edge = lambda share: SHAPES[case.shape](1 - share)
        groups = [(cell, strategy) for cell in self.spec.space.cells for strategy in self.spec.space.strategies]
        self._tilts = {group: random.normal(0, case.tilt, 2) for group in groups}

    def edge(self, point: Point) -> float:
        """In decades."""
        low, high = self.spec.space.threshold_range(point.strategy) or (1.0, 10.0)
        share = np.log((point.threshold or low) / low) / np.log(high / low)
        return float(
            super().edge(point) + self._case.moved + np.interp(share, (0, 1), self._tilts[point.cell, point.strategy])
        )


def median_errors(case: Case | None, seed: int, trials: int) -> list[float]:
    """The median error of the frontiers after each of ``CHECKS``, in decades; without another study for no case."""
    problem, like = SimulatedEdges(SHAPE, SLOPE), None
    if case is not None:
        like = found(
            pd.DataFrame(searched(MovedEdges(case, seed), "frontier", 1000 + seed, TRIALS_OF_THE_OTHER)), "other"
        )
    rows = searched(problem, "frontier", seed, trials, like)
    return [float(np.median(errors(problem, rows[:count], like))) for count in CHECKS if count <= trials]


def judged(name: str, case: Case | None, seeds: range, trials: int) -> dict[str, Any]:
    """What a case pays."""
    of_seed = [median_errors(case, seed, trials) for seed in seeds]
    checks = [(count, statistics.median(at)) for count, at in zip(CHECKS, zip(*of_seed, strict=True), strict=False)]
    trials_to = {wanted: steps_to(wanted, checks) for wanted in WANTED}
    return {"case": name, "seeds": list(seeds), "checks": checks, "trials_to_wanted": trials_to, "of_seed": of_seed}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=10)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--trials", type=int, default=CHECKS[-1])
    parser.add_argument("--cases", default=",".join(["alone", *CASES]))
    parser.add_argument("--output", type=Path, default=Path("build/bench"))
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    results = []
    for name in options.cases.split(","):
        seeds = range(options.first, options.first + options.repetitions)
        results.append(judged(name, CASES.get(name), seeds, options.trials))
        shown = ", ".join(f"{count}: {error:.3f}" for count, error in results[-1]["checks"])
        print(f"{name}: {results[-1]['trials_to_wanted'][WANTED[0]]:.0f} trials to {WANTED[0]:g} ({shown})", flush=True)
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "like.json").write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
