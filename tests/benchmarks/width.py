"""How well runs at hidden 32 to 128 predict the frontier and the best learning rate at 512, by real runs there.

Errors are in decades of learning rate. "unchanged" takes what holds at hidden 128; "line" is what reports say, a
straight line in logarithms; "in" is the share of 95% intervals that hold the truth. "worse" is by how much of the
untrained loss a model of hidden 512 ends higher at the learning rate predicted than at its best one. Reports rest on
all runs, or on as many as a study has: one seed of every second learning rate (0.4 decades apart).

    python tests/benchmarks/width.py
"""

import argparse
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from width_runs import DATA, GROUPS, LARGE, SMALL, STEP, Group, of_group, rate_of

from gradstudy.storage.bins import half_decade
from gradstudy.study.answer.appraisal import Appraisal
from gradstudy.study.answer.observation import mark_fresh
from gradstudy.study.frontier.table import frontier
from gradstudy.study.scaling.best_rates import best_rate
from gradstudy.study.scaling.prediction import scale_table


@dataclass(frozen=True)
class Known:
    """What runs of one width show, in decades: the best learning rate, and the frontier.

    That lies in the middle between the learning rates at which fewer and more than half of the runs diverge, a fifth of
    a decade apart.
    """

    best: float
    edge: float


def trials_of(rows: pd.DataFrame, group: Group) -> pd.DataFrame:
    """Runs as rows of ``trial_result``."""
    rate = rows["place"].map(rate_of)
    threshold = float("nan") if group.threshold is None else group.threshold
    return rows.assign(
        number=range(len(rows)),
        learning_rate=rate,
        learning_rate_bin=rate.map(half_decade),
        threshold=threshold,
        threshold_bin=half_decade(group.threshold),
        clipped_fraction=0.0,
        skipped_steps=0,
        factors=[
            {"hidden_size": int(hidden), "parametrization": group.parametrization} for hidden in rows["hidden_size"]
        ],
    ).reset_index(drop=True)


def appraised(trials: pd.DataFrame) -> Appraisal:
    """What the runs show."""
    return Appraisal(mark_fresh(trials, "qmc", 1))


def known_at(rows: pd.DataFrame, group: Group) -> Known:
    """What runs of one width alone show."""
    trials = trials_of(rows, group)
    found, decades = appraised(trials), np.log10(trials["learning_rate"])
    assert found.model is not None
    best, _ = best_rate(found.model, found.observed.settings.take([0]), (decades.min(), decades.max()))
    share = (rows["outcome"] == "diverged").groupby(rows["place"]).mean()
    return Known(best, STEP * (float(share[share >= 0.5].index.min()) - 0.5))


def regret(rows: pd.DataFrame, decades: float) -> float:
    """How much higher runs end at a learning rate than at the best one, as a share of the untrained loss."""
    untrained = rows["initial_validation_loss"].mean()
    lost = rows["outcome"] == "diverged"
    losses = rows["validation_loss"].where(~lost, rows["initial_validation_loss"]).groupby(rows["place"]).mean()
    places = np.log10([rate_of(place) for place in losses.index])
    return float((np.interp(decades, places, losses) - losses.min()) / untrained)


def compared(rows: pd.DataFrame, group: Group, few: pd.DataFrame) -> dict[str, Any]:
    """The errors of one group."""
    small, large = few[few["hidden_size"] != LARGE], rows[rows["hidden_size"] == LARGE]
    truth, last = known_at(large, group), known_at(small[small["hidden_size"] == SMALL[-1]], group)
    trials = trials_of(small, group)
    spec = {"space": {"scale_to": {"hidden_size": LARGE}}, "optimizer": group.optimizer}
    found = scale_table(spec, frontier(trials), appraised(trials)).iloc[0]
    best, edge = np.log10(found["best_rate"]), np.log10(found["frontier"])
    return {
        **vars(group),
        "best": round(10**truth.best, 4),
        "best_line": best - truth.best,
        "best_unchanged": last.best - truth.best,
        "best_in": found["best_rate_low"] <= 10**truth.best <= found["best_rate_high"],
        "best_slope": found["best_rate_slope"],
        "edge": round(10**truth.edge, 4),
        "edge_line": edge - truth.edge,
        "edge_unchanged": last.edge - truth.edge,
        "edge_in": found["frontier_low"] <= 10**truth.edge <= found["frontier_high"],
        "edge_slope": found["frontier_slope"],
        "worse_line": regret(large, best),
        "worse_unchanged": regret(large, last.best),
    }


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    pd.set_option("display.width", 250, "display.max_columns", 50)
    for file in sorted(DATA.glob("width-*.csv.gz")):
        task, rows = file.name.removesuffix(".csv.gz").removeprefix("width-"), pd.read_csv(file)
        for what, few in (("all runs", rows), ("a study's", rows[(rows["seed"] == 0) & (rows["place"] % 2 == 0)])):
            table = pd.DataFrame(
                compared(of_group(rows, group), group, of_group(few, group))
                for group in GROUPS
                if (of_group(rows, group)["hidden_size"] == LARGE).any()
            )
            print(f"\n{task}, {what}\n{table.round(3).to_string(index=False)}")
            for name, mine in table.groupby("parametrization"):
                errors = {
                    column: f"{mine[column].abs().mean():.3f} (largest {mine[column].abs().max():.3f})"
                    for column in ("best_line", "best_unchanged", "edge_line", "edge_unchanged")
                }
                print(f"{name}: {errors}, best in {mine['best_in'].mean():.0%}, edge in {mine['edge_in'].mean():.0%}")


if __name__ == "__main__":
    main()
