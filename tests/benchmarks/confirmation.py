"""How often the recommended setting diverges no more often than its stated upper bound, before and after fresh runs.

Nothing is trained: runs diverge with a known probability. Edges are sharp or blurred, with and without runs that
diverge at any learning rate.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

import numpy as np
from confirmations import simulate

EDGES = {
    "sharp, slope 8 a decade": {"slope": 8.0},
    "blurred, slope 3": {"slope": 3.0},
    "blurred, 5% diverge anywhere": {"slope": 4.0, "floor": 0.05},
    "blurred, 15% diverge anywhere": {"slope": 4.0, "floor": 0.15},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=100, help="of each edge")
    given = parser.parse_args()
    print(f"{given.repetitions} studies of 80 runs for each edge; interval at most 20% wide, at most 200 fresh runs")
    print("truth at most the upper bound: of the report alone | after fresh runs | of these firm; median fresh runs")
    for name, edge in EDGES.items():
        made = [simulate(seed, **edge) for seed in range(given.repetitions)]
        outcomes = [outcome for outcome in made if outcome is not None]
        before = np.mean([outcome.rate_before <= outcome.before.evidence.risk_high for outcome in outcomes])
        after = np.mean([
            fresh is not None and outcome.rate_after <= fresh.rate_high
            for outcome in outcomes
            for fresh in [outcome.after.evidence.fresh]
        ])  # fmt: skip
        firm = np.mean([outcome.after.evidence.firm for outcome in outcomes])
        runs = np.median([outcome.fresh_runs for outcome in outcomes])
        print(f"{name:32} {before:7.1%} | {after:7.1%} | {firm:7.1%}; {runs:.0f}")


if __name__ == "__main__":
    main()
