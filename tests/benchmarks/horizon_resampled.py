"""How far the answer of ``launch --horizon`` is from the best setting where chance had fallen otherwise.

The truth of ``horizon_truth.py`` made into others: a random share of the settings, each with the mean loss that its two
runs had as what is true, and runs anew around it. Their noise is what two runs of one setting differ by, by task,
optimizer and length, a part of it common to the runs of one cell and seed; runs of a setting diverge as often as the
two did.

    python tests/benchmarks/horizon_resampled.py --times 10
"""

import argparse

import numpy as np
import pandas as pd
from horizon_beliefs import fitted_beliefs
from horizon_rungs import KEYS, TIMES, Truth, read, seen_after

from gradstudy.study.horizon.prediction import predict

SHORT = (200, 800)
KEPT = 0.75
"""Share of the settings."""
ACCEPTED = 0.1
SEEDS = 2


def resampled(truth: Truth, random: np.random.Generator) -> tuple[Truth, Truth]:
    """Another truth, and the runs that it was made from, of the same settings."""
    numbers = truth.runs.groupby(KEYS, dropna=False).ngroup()
    kept = random.choice(numbers.max() + 1, round(KEPT * (numbers.max() + 1)), replace=False)
    runs = truth.runs.assign(number=numbers)[numbers.isin(kept)]
    found = [_anew(each, *_noise(truth.of_length(int(str(steps)))), random) for steps, each in runs.groupby("steps")]
    return Truth(truth.name, pd.concat(found, ignore_index=True)), Truth(truth.name, runs)


def _noise(runs: pd.DataFrame) -> tuple[float, float]:
    """Standard deviations of the logarithm of a loss: of what is common to a cell and a seed, and of the rest."""
    table = runs[~runs["lost"]].assign(value=np.log(runs["objective"]))
    pairs = table.pivot_table(index=KEYS, columns="seed", values="value", dropna=False).dropna()
    away = pairs[0] - pairs[1]
    better = away[pairs.mean(axis=1) <= pairs.mean(axis=1).median()]
    whole = float(np.median(np.abs(better)) / 0.6745 / np.sqrt(2))
    common = min(float(np.sqrt((better.groupby("cell").mean() ** 2).mean() / 2)), 0.9 * whole)
    return common, float(np.sqrt(whole**2 - common**2))


def _anew(runs: pd.DataFrame, common: float, own: float, random: np.random.Generator) -> pd.DataFrame:
    shared: dict[tuple[str, int], float] = {}
    rows = []
    for _, of_setting in runs.groupby("number"):
        lost = of_setting[of_setting["lost"]]
        kept = of_setting[~of_setting["lost"]]
        for seed in range(SEEDS):
            if random.random() < len(lost) / len(of_setting):
                rows.append({**lost.iloc[0], "seed": seed})
                continue
            first = kept.iloc[0]
            noise = shared.setdefault((first["cell"], seed), random.normal(0, common)) + random.normal(0, own)
            rows.append({**first, "seed": seed, "objective": kept["objective"].mean() * np.exp(noise)})
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=10)
    given = parser.parse_args()
    truths = read()
    beliefs = {truth.name: fitted_beliefs([other for other in truths if other is not truth]) for truth in truths}
    rows = []
    for time in range(given.times):
        random = np.random.default_rng(time)
        for truth in truths:
            other, real = resampled(truth, random)
            for short in SHORT:
                known = real.settings(TIMES * short)
                safe = known[known["lost"] <= ACCEPTED * known["runs"]]
                seen = seen_after(other, short, beliefs[truth.name])
                answers = predict(seen, TIMES * short, beliefs[truth.name]).merge(
                    known, on=KEYS, suffixes=("_said", "")
                )
                rows.append({
                    "problem": truth.name, "short": short, "regret": answers["loss"].iloc[0] / safe["loss"].min() - 1
                })  # fmt: skip
    table = pd.DataFrame(rows)
    for names in (["short", "problem"], ["short"], [lambda _: "all"]):
        regrets = table.groupby(names)["regret"]
        print(
            regrets.agg(["size", "mean", "median", "max"]).assign(
                within=regrets.agg(lambda each: (each <= 0.03).mean())
            )
        )


if __name__ == "__main__":
    main()
