"""What a study with a horizon would have run of the truth that ``horizon_truth.py`` made."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from gradstudy.study.answer.confirmation_plan import Chosen
from gradstudy.study.answer.recommendation import or_none
from gradstudy.study.horizon.beliefs import Beliefs
from gradstudy.study.horizon.causes import CAUSES, causes_of
from gradstudy.study.horizon.halving import survivors
from gradstudy.study.spec.rungs import Rung, planned_rungs

DATA = Path(__file__).parent / "data" / "horizon_runs.csv.gz"
GROUP = ["cell", "strategy", "threshold"]
KEYS = [*GROUP, "learning_rate"]
FACTOR, TIMES = 4, 16
TRIALS = 96
"""Short runs of each task and optimizer."""
LOWER = 0.75
"""Of a learning rate, that the next lower one of the grid has at most."""


@dataclass(frozen=True)
class Truth:
    """Runs of one task and optimizer."""

    name: str
    runs: pd.DataFrame

    def of_length(self, *steps: int) -> pd.DataFrame:
        """The runs of these lengths."""
        return self.runs[self.runs["steps"].isin(steps)]

    def settings(self, steps: int) -> pd.DataFrame:
        """A row for each setting with runs of so many steps: ``loss``, ``lost``, ``runs``, lost ones by cause."""
        table = self.of_length(steps).groupby(KEYS, dropna=False, as_index=False)
        return table.agg(
            loss=("objective", "mean"), lost=("lost", "sum"), runs=("lost", "size"),
            **{f"lost_{cause}": (f"lost_{cause}", "sum") for cause in CAUSES},
        )  # fmt: skip


def read() -> list[Truth]:
    """The truth of every task and optimizer."""
    runs = pd.read_csv(DATA).rename(columns={"initial_validation_loss": "untrained"})
    runs = runs.assign(lost=runs["outcome"] == "diverged", factors="")
    lost_by = causes_of(runs)
    runs = runs.assign(**{f"lost_{cause}": lost_by == place for place, cause in enumerate(CAUSES)})
    named = runs.groupby(["task", "optimizer"])
    return [Truth(f"{task} {optimizer}", each.reset_index(drop=True)) for (task, optimizer), each in named]


def rungs_to(short: int) -> list[Rung]:
    """Those of a launch with as many trials as there are short runs, to 16 times their steps."""
    return planned_rungs(short, TRIALS, TIMES * short)


def seen_after(truth: Truth, short: int, beliefs: Beliefs) -> pd.DataFrame:
    """The runs that a study has seen after its rungs.

    To the first go the best settings of different groups, each with the next lower learning rate of the grid in place
    of half of it; to the second those that survive the first.
    """
    seen = [truth.of_length(short)]
    ranked = truth.settings(short).sort_values("loss", kind="stable")
    chosen = _with_lower(ranked.groupby(GROUP, dropna=False).head(1), ranked)
    for rung in rungs_to(short):
        if len(seen) > 1:
            # Of those whose longer runs nobody made the next ones go on.
            chosen = survivors(chosen, pd.concat(seen), TIMES * short, 2 * len(chosen), beliefs)
        of_length = truth.of_length(rung.steps)
        known = _rows(chosen).merge(truth.settings(rung.steps)[KEYS], on=KEYS)[KEYS].head(rung.settings)
        chosen = [_chosen(row) for row in known.to_dict("records")]
        seen.append(of_length[of_length["seed"] < rung.runs_of_each(rung.settings)].merge(known, on=KEYS))
    return pd.concat(seen)


def _with_lower(settings: pd.DataFrame, ranked: pd.DataFrame) -> list[Chosen]:
    """Settings, each followed by the one with the next lower learning rate."""
    found = []
    for _, setting in settings.iterrows():
        same = ranked[GROUP].eq(setting[GROUP]) | (ranked[GROUP].isna() & pd.isna(setting[GROUP]))
        lower = ranked[same.all(axis=1) & (ranked["learning_rate"] <= LOWER * setting["learning_rate"])]
        found += [setting[KEYS], *(lower.loc[place, KEYS] for place in lower.nlargest(1, "learning_rate").index)]
    return [_chosen(row) for row in found]


def _chosen(row: "pd.Series | dict") -> Chosen:
    return Chosen(
        cell=row["cell"], strategy=row["strategy"], threshold=or_none(row["threshold"]),
        learning_rate=float(row["learning_rate"]), factors={}, multiple=1.0, number=None,
    )  # fmt: skip


def _rows(chosen: list[Chosen]) -> pd.DataFrame:
    rows = pd.DataFrame([{name: getattr(setting, name) for name in KEYS} for setting in chosen])
    return rows.astype({"threshold": float})
