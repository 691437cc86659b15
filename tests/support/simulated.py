"""Trials whose truth is known: rows of ``trial_result`` that a logistic edge made."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from gradstudy.storage.bins import half_decade
from gradstudy.storage.studies import StudyRecord, Versions
from gradstudy.study.answer.appraisal import Appraisal
from gradstudy.study.answer.observation import mark_fresh
from gradstudy.study.answer.recommendation import Recommendation, recommend
from gradstudy.study.frontier.table import frontier
from gradstudy.study.spec.study_spec import StudySpec

INITIAL_LOSS = 4.0
THRESHOLDS = (0.01, 0.1, 1.0, 10.0)
STEPS = 100
RISE = 3.5
"""Of the margin ln(s_T / l0), in nats for each decade of learning rate."""


def simulated_trials(
    runs: int,
    *,
    edges: Sequence[float] = (0.5,),
    slope: float = 8.0,
    cells: Sequence[str] = ("lstm",),
    strategies: Sequence[str] = ("norm",),
    decades: tuple[float, float] = (-2.0, 2.0),
    seed: int = 0,
) -> pd.DataFrame:
    """Runs that diverge with probability expit(slope * (decade of the learning rate - edge)).

    Args:
        runs: how many.
        edges: in decades of learning rate, one for each of the first ``THRESHOLDS``.
        slope: per decade.
        cells: to choose from.
        strategies: to choose from; ``none`` and ``standardize`` have no threshold.
        decades: of the learning rate.
        seed: of everything that is random.
    """
    random = np.random.default_rng(seed)
    which = random.integers(len(edges), size=runs)
    decade = random.uniform(*decades, runs)
    # The margin rises with the learning rate; logistic noise makes it positive with the probability wanted.
    margin = RISE * (decade - np.array(edges)[which] + random.logistic(size=runs) / slope)
    diverged = margin > 0
    strategy = random.choice(strategies, runs)
    # Learning goes the faster the higher the learning rate.
    loss = INITIAL_LOSS - 0.5 * (decade - decades[0]) + random.normal(0, 0.01, runs)
    threshold = np.where(np.isin(strategy, ("none", "standardize")), np.nan, np.array(THRESHOLDS)[which])
    return frame_of(
        {
            "number": number,
            "cell": str(cell),
            "strategy": str(strategy[number]),
            "threshold": float(threshold[number]),
            "learning_rate": float(10 ** decade[number]),
            "outcome": "diverged" if diverged[number] else "trained",
            "reason": "blow_up" if diverged[number] else None,
            "diverged_at_step": int(random.integers(STEPS)) if diverged[number] else None,
            "validation_loss": np.nan if diverged[number] else float(loss[number]),
            "final_loss": INITIAL_LOSS * float(np.exp(min(margin[number], 1.7))) if diverged[number] else 2.0,
            "seed": number,
        }
        for number, cell in enumerate(random.choice(cells, runs))
    )


def frame_of(rows: Any) -> pd.DataFrame:
    """Rows of ``trial_result`` with its types; what is not given is that of a trained LSTM with clipping by norm 1."""
    usual = {
        "number": 0, "cell": "lstm", "strategy": "norm", "threshold": 1.0, "learning_rate": 1.0, "outcome": "trained",
        "reason": None, "diverged_at_step": None, "steps": STEPS, "validation_loss": 2.0, "initial_loss": INITIAL_LOSS,
        "final_loss": np.nan,
        "initial_validation_loss": INITIAL_LOSS, "clipped_fraction": 0.2, "grad_norm_p50": 0.5, "grad_norm_p90": 1.0,
        "grad_norm_max": 2.0, "seed": 0, "factors": {}, "skipped_steps": 0,
    }  # fmt: skip
    frame = pd.DataFrame([usual | row for row in rows], columns=list(usual))
    numbers = ["threshold", "learning_rate", "validation_loss", "initial_loss", "final_loss", "initial_validation_loss"]
    frame = frame.astype(dict.fromkeys(numbers, float) | {"diverged_at_step": "Int64", "steps": int})
    for column in ("threshold", "learning_rate"):
        edges = [half_decade(None if np.isnan(value) else value) for value in frame[column]]
        frame[f"{column}_bin"] = pd.Series(edges, index=frame.index, dtype=float)
    finite = frame["validation_loss"].fillna(np.inf)
    return frame.assign(objective=np.minimum(finite, frame["initial_validation_loss"]))


def appraised(trials: pd.DataFrame, sampler: str = "qmc", confirming: pd.DataFrame | None = None) -> Appraisal:
    """The settings of trials without replicates, and what they are worth."""
    return Appraisal(mark_fresh(trials, sampler, 1, confirming))


def recommended(trials: pd.DataFrame) -> Recommendation | None:
    """The answer of spread trials without replicates."""
    return recommend(appraised(trials), frontier(trials))


def simulated_study(name: str = "s", **spec: Any) -> StudyRecord:
    """The record of a study with a spec; its trials are spread."""
    made = StudySpec.model_validate({"name": name, "steps": STEPS, "sampler": "qmc", **spec})
    return StudyRecord(
        study_id=1,
        name=name,
        spec=made.model_dump(mode="json"),
        budget=made.trials,
        created_at=datetime(2026, 1, 2, 3, 4),
        identity=f"{name}-identity",
        versions=Versions(gradstudy="0.1", optuna="5.0", torch="2.9"),
    )
