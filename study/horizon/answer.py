"""The answer of a study for a horizon beyond its own steps: what was measured there, or is predicted."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from gradstudy.study.answer.code_to_paste import code_to_paste
from gradstudy.study.answer.evidence import RecommendedSetting
from gradstudy.study.answer.recommendation import or_none
from gradstudy.study.errors import BeyondHorizonError
from gradstudy.study.horizon.causes import CAUSES
from gradstudy.study.horizon.prediction import predict
from gradstudy.study.horizon.rows import key_of, runs_to_predict

AS_GOOD = 0.02
"""Share of the untrained loss within which two settings are about as good."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What runs of one length of a setting showed.

    Attributes:
        steps: of each.
        runs: how many.
        diverged: of these.
        loss: their mean validation loss, for which a diverged run counts as untrained.
    """

    steps: int
    runs: int
    diverged: int
    loss: float


@dataclass(frozen=True, kw_only=True)
class Predicted:
    """What a setting does at the horizon.

    Attributes:
        setting: what it is.
        loss: J there, with the ends of its 90% interval.
        risk: the probability that a run has diverged by then, with the ends of its 90% interval.
        causes: what each of ``CAUSES`` has of it.
        measured: its runs of each length, the shortest first.
    """

    setting: RecommendedSetting
    loss: float
    loss_low: float
    loss_high: float
    risk: float
    risk_low: float
    risk_high: float
    causes: tuple[float, ...]
    measured: tuple[Measured, ...]


@dataclass(frozen=True, kw_only=True)
class AtHorizon:
    """The answer at a horizon.

    Attributes:
        steps: the horizon.
        short: steps of the study's own trials.
        longest: steps of the longest runs that there are.
        best: the answer.
        of_short: what the answer of the study's own trials does there; None where it is the answer, or not known.
        untrained: loss of the untrained model.
        pytorch: the code to paste.
    """

    steps: int
    short: int
    longest: int
    best: Predicted
    of_short: Predicted | None
    untrained: float
    pytorch: str

    @property
    def is_measured(self) -> bool:
        """Whether there are runs of the answer that are as long as the horizon."""
        return self.best.measured[-1].steps == self.steps

    @property
    def holds(self) -> bool:
        """Whether the answer of the study's own trials is about as good there."""
        return self.of_short is None or self.of_short.loss - self.best.loss <= AS_GOOD * self.untrained


def answer_at_horizon(
    spec: Mapping[str, Any], trials: pd.DataFrame, longer: pd.DataFrame, short: RecommendedSetting | None
) -> tuple[AtHorizon | None, pd.DataFrame]:
    """The answer for the horizon of a study; for one without, at the steps of its longest runs.

    Args:
        spec: of the study, as JSON.
        trials: rows of ``trial_result`` of the study and of the runs that confirm it, see ``mark_fresh``.
        longer: rows of the runs that extend it.
        short: the answer of the study's own trials.

    Returns:
        The answer and the table of ``predict``; None and no rows without longer runs, where none of all was kept, and
        where the horizon is too far away.
    """
    if longer.empty:
        return None, pd.DataFrame()
    steps = int(spec["steps"])
    runs = pd.concat(
        [runs_to_predict(trials, spec), runs_to_predict(longer.assign(number=-1), spec)], ignore_index=True
    )
    horizon = int(spec.get("horizon") or runs["steps"].max())
    runs = runs[runs["steps"] <= horizon]
    try:
        table = predict(runs, horizon)
    except BeyondHorizonError:
        return None, pd.DataFrame()
    if table.empty:
        return None, table
    by_key = dict(list(runs.groupby("key", sort=False)))
    rows = {key_of(row): row for row in table.to_dict("records")}
    first = next(iter(rows))
    known = short and next(iter(runs.loc[runs["number"] == short.number, "key"]), key_of(vars(short)))
    best = _predicted(rows[first], by_key[first])
    of_best = by_key[first].iloc[0]
    return AtHorizon(
        steps=horizon,
        short=steps,
        longest=int(runs["steps"].max()),
        best=best,
        of_short=_predicted(rows[known], by_key[known]) if known in rows and known != first else None,
        untrained=float(by_key[first]["untrained"].mean()),
        pytorch=code_to_paste(
            best.setting.strategy,
            best.setting.threshold,
            best.setting.learning_rate,
            {**spec, "steps": horizon, **of_best["values"]},
        ),
    ), table


def _predicted(row: Mapping[Any, Any], runs: pd.DataFrame) -> Predicted:
    """What is predicted of a setting, with the runs of it."""
    own = runs.loc[runs["number"] >= 0, "number"]
    judged = runs[runs["outcome"].isin(["trained", "stalled", "diverged"])]
    measured = [
        Measured(
            steps=int(str(steps)),
            runs=len(each),
            diverged=int((each["outcome"] == "diverged").sum()),
            loss=float(each["objective"].mean()),
        )
        for steps, each in judged.groupby("steps")
    ]
    return Predicted(
        setting=RecommendedSetting(
            number=int(own.iloc[0]) if len(own) else None,
            cell=row["cell"],
            strategy=row["strategy"],
            threshold=or_none(row["threshold"]),
            learning_rate=float(row["learning_rate"]),
            factors=row["factors"],
        ),
        measured=tuple(measured),
        loss=float(row["loss"]),
        loss_low=float(row["loss_low"]),
        loss_high=float(row["loss_high"]),
        risk=float(row["risk"]),
        risk_low=float(row["risk_low"]),
        risk_high=float(row["risk_high"]),
        causes=tuple(float(row[cause]) for cause in CAUSES),
    )
