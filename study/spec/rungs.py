"""How long the longer runs of a study with a horizon are, and how many of them its budget pays.

They make twice as many training steps as the study's own trials: with as many, the last rung had too few runs to tell
settings apart in one of four problems, see ``docs/benchmarks.md``. The horizon is reached where half of these pay for
two runs of that length; else the longest runs are what half of them pays for, and the rest of the way is extrapolated.
"""

from dataclasses import dataclass, replace

FACTOR = 4
"""Between two rungs, of the steps."""
BEYOND = 16
"""Times the longest run up to which it tells something."""
LONGER = 2
"""Times the steps of the study's own trials that the longer runs make, at most."""
FEWEST = 2
"""Runs of the longest rung: of two settings, one each."""
FIRST, LATER = 12, 4
"""Settings of the first rung and of those after it, at most."""
MOST_RUNS = 18
"""Of a setting: so many without a divergence show that it is safe."""


@dataclass(frozen=True)
class Rung:
    """Runs of one length.

    Attributes:
        steps: of each run.
        settings: that are run, at most.
        runs: of each setting, at most.
        paid: how many runs there are in all, at most.
    """

    steps: int
    settings: int
    runs: int
    paid: int

    def runs_of_each(self, settings: int) -> int:
        """How many runs each of so many settings has."""
        return min(self.runs, self.paid // settings)


def rung_steps(short: int, longest: int) -> list[int]:
    """The numbers of steps of the rungs up to ``longest``, rising; one before another is at least twice ``short``."""
    found = [longest]
    while (before := round(found[0] / FACTOR)) >= 2 * short:
        found.insert(0, before)
    return found


def longest_paid(short: int, trials: int) -> int:
    """The steps of the longest runs that the budget of a study pays, whose own trials make ``short``."""
    budget = LONGER * short * trials
    alone = min(budget // FEWEST, 2 * FACTOR * short - FACTOR)  # beyond that there is a rung before it
    return max(alone, budget // (2 * FEWEST))


def planned_rungs(short: int, trials: int, horizon: int) -> list[Rung]:
    """The rungs of a study with a horizon, the shortest first.

    The longest one gets half of the budget, the one before it half of the rest, and so on; the first one gets what is
    left. All together they make at most ``LONGER`` times as many training steps as the trials of the study.

    Args:
        short: steps of the study's own trials.
        trials: of the study.
        horizon: steps that its answer is for.
    """
    steps = rung_steps(short, min(horizon, longest_paid(short, trials)))
    left, rungs = LONGER * short * trials, list[Rung]()
    for each in reversed(steps):
        share = left if each == steps[0] else left // 2
        left -= share
        paid = share // each
        settings = min(FIRST if each == steps[0] else LATER, paid)
        rungs.insert(0, Rung(each, settings, MOST_RUNS, min(paid, settings * MOST_RUNS)))
    return rungs


def wanted_rungs(short: int, longest: int, top: int, runs: int) -> list[Rung]:
    """The rungs to a number of steps that somebody named, for the best settings and their halved learning rates.

    Args:
        short: steps of the study's own trials.
        longest: steps of the longest runs.
        top: how many settings there are at first, without their halves.
        runs: of each setting.
    """
    later = max(LATER, top)
    rungs = [Rung(steps, later, runs, later * runs) for steps in rung_steps(short, longest)]
    return [replace(rungs[0], settings=2 * top, paid=2 * top * runs), *rungs[1:]]
