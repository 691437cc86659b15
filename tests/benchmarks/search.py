"""What samplers pay, in training steps, for frontiers, where the truth is known.

Every sampler's trials are read by the report's own estimator, ``frontier``; eight trials run at
once. The problems: simulated edges of several shapes, sharp and noisy; quadratics, whose largest learning rate is
2 / lambda max; and a map of runs that were trained (``reference_map.py``).

    python tests/benchmarks/search.py [--quick] [--output FOLDER]
"""

import argparse
import json
import statistics
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
from optuna.trial import TrialState
from reference_map import COPY
from search_problems import (
    INITIAL_LOSS,
    SHAPES,
    Column,
    Point,
    Problem,
    Quadratic,
    ReferenceMap,
    SimulatedEdges,
    thresholds_of,
)

from gradstudy.storage.bins import half_decade
from gradstudy.study.frontier.table import frontier
from gradstudy.study.search.from_spec import make_sampler
from gradstudy.study.search.frontier_sampler import FrontierSampler
from gradstudy.study.search.observed_trials import UNTRAINED
from gradstudy.study.search.space import CONSTRAINT
from gradstudy.study.spec.parts import Like

AT_ONCE = 8
CHECKS = (24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
"""Trials after which the frontiers are estimated."""
WANTED = (0.1, 0.05)
"""Errors of the median frontier, in decades; what each costs is compared with a grid of step 0.1."""
GRID_STEPS = (0.4, 0.2, 0.1)
ADAPTIVE = ("qmc", "random", "tpe", "frontier")


def sampler_of(problem: Problem, name: str, seed: int, trials: int) -> optuna.samplers.BaseSampler:
    if name == "frontier":
        return FrontierSampler(seed)
    if name == "gp":
        return optuna.samplers.GPSampler(seed=seed)
    if isinstance(problem, Quadratic):  # whose parameters have names of their own
        samplers = optuna.samplers
        classes = {"qmc": samplers.QMCSampler, "random": samplers.RandomSampler, "tpe": samplers.TPESampler}
        return classes[name](seed=seed)
    return make_sampler(problem.spec.model_copy(update={"sampler": name, "seed": seed, "trials": trials}))


def row_of(problem: Problem, point: Point, number: int, random: np.random.Generator) -> dict[str, Any]:
    """A run of a setting as a row of ``trial_result``."""
    missing = point.threshold is None
    row = problem.run(point, random)
    return {
        **row, "number": number, "seed": number, "factors": {}, "cell": point.cell, "strategy": point.strategy,
        "threshold": np.nan if missing else point.threshold, "clipped_fraction": 0.1,
        "threshold_bin": np.nan if missing else half_decade(point.threshold), "learning_rate": point.learning_rate,
        "initial_loss": INITIAL_LOSS, "final_loss": INITIAL_LOSS * np.exp(row["margin"]),
        "initial_validation_loss": INITIAL_LOSS,
    }  # fmt: skip


def searched(problem: Problem, name: str, seed: int, trials: int, like: Like | None = None) -> list[dict[str, Any]]:
    """The rows of a study, in the order in which its trials ended."""
    random = np.random.default_rng([seed, 1])
    sampler = FrontierSampler(seed, like=like) if like else sampler_of(problem, name, seed, trials)
    study = optuna.create_study(sampler=sampler)
    rows: list[dict[str, Any]] = []
    running: list[tuple[optuna.Trial, Point]] = []
    while len(rows) < trials:
        while len(running) < AT_ONCE:
            trial = study.ask()
            running.append((trial, problem.suggest(trial)))
        trial, point = running.pop(int(random.integers(AT_ONCE)))
        row = row_of(problem, point, trial.number, random)
        trial.set_user_attr(UNTRAINED, INITIAL_LOSS)
        trial.set_constraint(CONSTRAINT, float(row["margin"]))
        diverged = row["outcome"] == "diverged"
        study.tell(trial, INITIAL_LOSS if diverged else min(row["validation_loss"], INITIAL_LOSS))
        rows.append(row)
    return rows


def grid(problem: Problem, step: float, seed: int) -> list[dict[str, Any]]:
    """The rows of a grid: each bin at learning rates a step apart, with a threshold of the bin at random."""
    random = np.random.default_rng([seed, 2])
    low, high = (-3.0, 3.0) if isinstance(problem, Quadratic) else np.log10(problem.spec.space.learning_rate)
    points = []
    for column in problem.truth:
        thresholds = [None] if column[2] is None else thresholds_of(problem.spec, column)
        points += [
            Point(column[0], column[1], thresholds[int(random.integers(len(thresholds)))], 10**decade)
            for decade in np.arange(low + random.random() * step, high, step)
        ]
    return [row_of(problem, point, number, random) for number, point in enumerate(points)]


def errors(problem: Problem, rows: list[dict[str, Any]], like: Like | None = None) -> np.ndarray:
    """How far each estimated frontier is from the truth, in decades; infinite where there is no estimate."""
    found: dict[Column, float] = {}
    for row in frontier(pd.DataFrame(rows), like).to_dict("records"):
        edge = None if np.isnan(row["threshold_bin"]) else float(row["threshold_bin"])
        found[(row["cell"], row["strategy"], edge)] = row["frontier"]
    missing = [abs(np.log10(found.get(column, np.nan)) - truth) for column, truth in problem.truth.items()]
    return np.nan_to_num(np.array(missing), nan=np.inf)


def steps_to(wanted: float, checks: list[tuple[int, float]]) -> float:
    """Steps at which the error falls to ``wanted`` and stays, between checks by its logarithm; infinite if it does not.

    Args:
        wanted: in decades.
        checks: (steps, error), in the order of the steps.
    """
    above = [place for place, (_, error) in enumerate(checks) if error > wanted]
    if not above:
        return checks[0][0]
    if above[-1] + 1 == len(checks):
        return np.inf
    (steps, error), (next_steps, next_error) = checks[above[-1] : above[-1] + 2]
    if np.isinf(error):
        return next_steps
    share = np.log(error / wanted) / np.log(error / next_error)
    return float(steps * (next_steps / steps) ** share)


def judged(problem: Problem, name: str, repetitions: int, trials: int) -> dict[str, Any]:
    """A sampler on a problem."""
    at: dict[int, list[tuple[int, float]]] = {}
    for seed in range(repetitions):
        rows = searched(problem, name, seed, trials)
        spent = np.cumsum([row["steps"] for row in rows])
        for count in (count for count in CHECKS if count <= trials):
            error = float(np.median(errors(problem, rows[:count])))
            at.setdefault(count, []).append((int(spent[count - 1]), error))
    checks = [
        (int(statistics.median(steps for steps, _ in found)), statistics.median(error for _, error in found))
        for found in at.values()
    ]
    result: dict[str, Any] = {"problem": problem.name, "sampler": name, "checks": checks}
    result["steps_to_wanted"] = {wanted: steps_to(wanted, checks) for wanted in WANTED}
    return result


def judged_grids(problem: Problem, repetitions: int) -> Iterator[dict[str, Any]]:
    for step in GRID_STEPS:
        found = []
        for seed in range(repetitions):
            rows = grid(problem, step, seed)
            found.append((sum(row["steps"] for row in rows), float(np.median(errors(problem, rows)))))
        steps, error = (statistics.median(values) for values in zip(*found, strict=True))
        yield {"problem": problem.name, "sampler": f"grid {step:g}", "checks": [(steps, error)],
               "steps_to_wanted": dict.fromkeys(WANTED, steps)}  # fmt: skip


def asking_milliseconds(counts: tuple[int, ...]) -> dict[int, float]:
    """Median time of an ask with its suggests after so many trials, eight of them running; storage in memory."""
    problem, random = SimulatedEdges("falling", 8), np.random.default_rng(0)
    study, measured = optuna.create_study(sampler=FrontierSampler(0)), {}
    for count in counts:
        study.sampler = sampler_of(problem, "qmc", 0, count)
        while len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))) < count:
            trial = study.ask()
            row = row_of(problem, problem.suggest(trial), 0, random)
            trial.set_constraint(CONSTRAINT, float(row["margin"]))
            study.tell(trial, INITIAL_LOSS if row["outcome"] == "diverged" else row["validation_loss"])
        study.sampler = FrontierSampler(0)
        times, asked = [], []
        for _ in range(3 * AT_ONCE):
            start = time.perf_counter()
            asked.append(study.ask())
            problem.suggest(asked[-1])
            times.append(1000 * (time.perf_counter() - start))
            if len(asked) > AT_ONCE:
                study.tell(asked.pop(0), state=TrialState.FAIL)
        measured[count] = statistics.median(times)
        for trial in asked:
            study.tell(trial, state=TrialState.FAIL)
    return measured


def steps_table(results: list[dict[str, Any]], wanted: float) -> Iterator[str]:
    """What each sampler pays for an error, as Markdown."""
    yield f"Training steps until the median frontier is off by {wanted:g} decades, as a share of a grid of step 0.1."
    yield ""
    names = list(dict.fromkeys(result["sampler"] for result in results))
    names = [name for name in names if name not in (f"grid {step:g}" for step in GRID_STEPS[:-1])]
    yield "| problem | " + " | ".join(names) + " |"
    yield "|---|" + "---|" * len(names)
    for problem in dict.fromkeys(result["problem"] for result in results):
        of = {result["sampler"]: result for result in results if result["problem"] == problem}
        grid_steps = of[f"grid {GRID_STEPS[-1]:g}"]["steps_to_wanted"][wanted]
        cells = [f"{steps:,.0f} ({steps / grid_steps:.2f})"
                 if np.isfinite(steps := of[name]["steps_to_wanted"][wanted])
                 else f"more than {of[name]['checks'][-1][0]:,.0f}" for name in names]  # fmt: skip
        yield f"| {problem} | " + " | ".join(cells) + " |"


def lines_of(results: list[dict[str, Any]], asking: dict[int, float]) -> Iterator[str]:
    """The tables as Markdown."""
    for wanted in WANTED:
        yield from steps_table(results, wanted)
        yield ""
    yield "Asking: " + ", ".join(f"{ms:.0f} ms after {count:,} trials" for count, ms in asking.items()) + "."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="some minutes: two repetitions of four problems")
    parser.add_argument("--repetitions", type=int, default=10)
    parser.add_argument("--output", type=Path, default=Path("build/bench"))
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    repetitions = 2 if options.quick else options.repetitions
    trials = 384 if options.quick else CHECKS[-1]
    kinds = [("falling", 40.0), ("curved", 8.0)] if options.quick else zip(SHAPES, (8.0, 40.0) * 2, strict=True)
    problems = [
        *(SimulatedEdges(shape, slope) for shape, slope in kinds),
        Quadratic(),
        ReferenceMap(COPY),
    ]
    results = []
    for problem in problems:
        results += judged_grids(problem, repetitions)
        for name in ADAPTIVE:
            count = trials // 2 if isinstance(problem, Quadratic) else trials
            results.append(judged(problem, name, repetitions, count))
            print(problem.name, name, f"{results[-1]['steps_to_wanted'][WANTED[0]]:,.0f} steps", flush=True)
    asking = asking_milliseconds((100, 2000))
    lines = list(lines_of(results, asking))
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "search.md").write_text("\n".join(lines) + "\n")
    kept = {"repetitions": repetitions, "asking_ms": asking, "results": results}
    (options.output / "search.json").write_text(json.dumps(kept, indent=1))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
