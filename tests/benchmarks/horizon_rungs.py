"""What a study with a horizon would have run of the truth that ``horizon_truth.py`` made."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from gradstudy.study.answer.confirmation_plan import Chosen
from gradstudy.study.answer.recommendation import or_none
from gradstudy.study.horizon.causes import CAUSES, causes_of
from gradstudy.study.horizon.halving import survivors

DATA = Path(__file__).parent / "data" / "horizon_runs.csv.gz"
GROUP = ["cell", "strategy", "threshold"]
KEYS = [*GROUP, "learning_rate"]
FACTOR, TIMES = 4, 16
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


@dataclass(frozen=True)
class Plan:
    """Settings at most, and runs of each, at 4 and at 16 times the short runs."""

    settings: tuple[int, int]
    runs: tuple[int, int]


def read() -> list[Truth]:
    """The truth of every task and optimizer."""
    runs = pd.read_csv(DATA).rename(columns={"initial_validation_loss": "untrained"})
    runs = runs.assign(lost=runs["outcome"] == "diverged", factors="")
    lost_by = causes_of(runs)
    runs = runs.assign(**{f"lost_{cause}": lost_by == place for place, cause in enumerate(CAUSES)})
    named = runs.groupby(["task", "optimizer"])
    return [Truth(f"{task} {optimizer}", each.reset_index(drop=True)) for (task, optimizer), each in named]


def seen_after(truth: Truth, short: int, plan: Plan) -> pd.DataFrame:
    """The runs that a study has seen after its rungs.

    To the first go the best settings of different groups, each with the next lower learning rate of the grid in place
    of half of it; to the second those that survive the first.
    """
    seen = [truth.of_length(short)]
    ranked = truth.settings(short).sort_values("loss", kind="stable")
    chosen = _with_lower(ranked.groupby(GROUP, dropna=False).head(1), ranked)
    answer = chosen[0]
    for steps, count, runs in zip((FACTOR * short, TIMES * short), plan.settings, plan.runs, strict=True):
        if len(seen) > 1:
            last = seen[-1].groupby(KEYS, dropna=False, as_index=False).agg(loss=("objective", "mean"))
            chosen = survivors(chosen, _rows(chosen).merge(last, how="left", on=KEYS), answer, count)
        known = _rows(chosen).merge(truth.settings(steps)[KEYS], on=KEYS)[KEYS].head(count)
        chosen = [_chosen(row) for row in known.to_dict("records")]
        of_length = truth.of_length(steps)
        seen.append(of_length[of_length["seed"] < runs].merge(known, on=KEYS))
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
