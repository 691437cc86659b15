"""What a study pays for its frontiers that begins with what another one found, where the truth of both is known.

The other study is of the same frontiers, moved and tilted by chance, or of others altogether. What counts is what the
report says of the new one, with and without the other; its sampler, eight trials at once, is that of the frontiers.
What another study costs or saves is measured in pairs, of the same seed with it and without: by how much the logarithms
of the mean errors differ, and by how many trials more or fewer the curve of one would lie on that of the other.

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
SETTLED = 72
"""Trials from which on every study reports most of its frontiers, and pairs are compared."""
FAR = 1.0
"""Decades by which a frontier is off at most, and by which one that is not reported is."""
TRIALS_OF_THE_OTHER = 300
RESAMPLED = 400
"""Times that the seeds are drawn anew for a standard error."""


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


ALONE = "alone"
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


def errors_of(case: Case | None, seed: int, trials: int) -> list[tuple[float, float]]:
    """Median and mean error of the frontiers after each of ``CHECKS``, in decades; without another study for no case.

    The mean has less noise than the median: pairs are compared by it.
    """
    problem, like = SimulatedEdges(SHAPE, SLOPE), None
    if case is not None:
        like = found(pd.DataFrame(searched(MovedEdges(case, seed), "qmc", 1000 + seed, TRIALS_OF_THE_OTHER)), "other")
    rows = searched(problem, "frontier", seed, trials, like)
    at = [errors(problem, rows[:count], like) for count in CHECKS if count <= trials]
    return [(float(np.median(each)), float(np.minimum(each, FAR).mean())) for each in at]


def more_trials(alone: np.ndarray, other: np.ndarray, trials: np.ndarray) -> float:
    """How many more trials a study needs for the same error, as a share: 0.05 for 5% more.

    Two parallel lines are fitted to the means over the seeds of the logarithms of the errors, over those of the trials.

    Args:
        alone: [seeds, checks] logarithms of the errors without another study.
        other: the same with it.
        trials: [checks] before each.
    """
    places = np.tile(np.log(trials), 2)
    lines = np.stack([np.ones(len(places)), places, np.repeat([0.0, 1.0], len(trials))], 1)
    slope, apart = np.linalg.lstsq(lines, np.concatenate([alone.mean(0), other.mean(0)]), rcond=None)[0][1:]
    return float(np.expm1(-apart / slope))


def compared(alone: dict[str, Any], other: dict[str, Any]) -> str:
    """What another study costs in pairs of the same seeds, with standard errors."""
    trials = np.array([count for count, _ in alone["checks"]])
    settled = trials >= SETTLED
    logs = [np.log(np.array(result["of_seed"])[:, settled, 1]) for result in (alone, other)]
    differences = (logs[1] - logs[0]).mean(1)
    random, seeds = np.random.default_rng(0), len(differences)
    drawn = [random.integers(seeds, size=seeds) for _ in range(RESAMPLED)]
    resampled = [more_trials(logs[0][places], logs[1][places], trials[settled]) for places in drawn]
    return (
        f"{other['case']}: mean errors {np.expm1(differences.mean()):+.1%} (standard error "
        f"{differences.std(ddof=1) / seeds**0.5:.1%}), trials for the same error "
        f"{more_trials(*logs, trials[settled]):+.1%} ({np.std(resampled):.1%})"
    )


def judged(name: str, case: Case | None, seeds: range, trials: int) -> dict[str, Any]:
    """What a case pays."""
    of_seed = [errors_of(case, seed, trials) for seed in seeds]
    at_checks = zip(CHECKS, zip(*of_seed, strict=True), strict=False)
    checks = [(count, statistics.median(median for median, _ in at)) for count, at in at_checks]
    trials_to = {wanted: steps_to(wanted, checks) for wanted in WANTED}
    return {"case": name, "seeds": list(seeds), "checks": checks, "trials_to_wanted": trials_to, "of_seed": of_seed}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=10)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--trials", type=int, default=CHECKS[-1])
    parser.add_argument("--cases", default=",".join([ALONE, *CASES]))
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
    if results[0]["case"] == ALONE and options.repetitions > 1 and options.trials > SETTLED:
        print("\n".join(compared(results[0], other) for other in results[1:]))
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "like.json").write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
