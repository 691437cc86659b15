"""A trial of a study as other programs know runs: what was set, what was measured, and at which step."""

import math
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from gradstudy.study.report import sentences
from gradstudy.study.report.report import Report

TRIALS_AT_ONCE = 50
"""Whose steps are read together: no more of them are held."""
SET = ("cell", "strategy", "threshold", "learning_rate", "seed")
MEASURED = (
    "objective", "validation_loss", "initial_validation_loss", "initial_loss", "final_loss", "grad_norm_p50",
    "grad_norm_p90", "grad_norm_max", "clipped_fraction", "spikes", "skipped_steps", "seconds",
)  # fmt: skip
AT_STEPS = ("loss", "grad_norm", "applied_norm", "learning_rate")
LABELS = ("outcome", "reason", "diverged_at_step", "excluded")
SETTING = ("cell", "strategy", "threshold", "learning_rate")


@dataclass(frozen=True, kw_only=True)
class ExportedRun:
    """A trial.

    Attributes:
        name: such as ``trial-0007``.
        params: its setting with what else was varied, and its seed.
        measured: numbers of the whole run; none that is missing.
        labels: study, number, outcome, reason, and ``answer``: whether it is a run of the setting that is the answer.
        series: of each that was written at steps, steps and values, both rising by step; none that is missing.
        began: seconds since 1970 at which it began.
        seconds: that it took.
        steps: that it made.
        failed: whether it failed.
    """

    name: str
    params: dict[str, Any]
    measured: dict[str, float]
    labels: dict[str, str]
    series: dict[str, tuple[list[int], list[float]]]
    began: float
    seconds: float
    steps: int
    failed: bool

    def time_of(self, step: int) -> float:
        """About when a step was made, in seconds since 1970."""
        return self.began + self.seconds * step / max(self.steps, 1)


def answer_in_words(report: Report) -> str:
    """The answer of a study, with what it rests on."""
    return " ".join([f"{sentences.kind(report)}: {sentences.setting(report)}.", *sentences.evidence(report)])


def exported_runs(
    report: Report, trials: pd.DataFrame, read_steps: Callable[[Sequence[int]], pd.DataFrame]
) -> tuple[int, Iterator[ExportedRun]]:
    """How many trials of a study have ended, and these, by number; steps are read as they are asked for.

    Args:
        report: of the study.
        trials: rows of ``trial_result``.
        read_steps: gives the rows of ``step_result`` of the trials of these numbers.
    """
    ended = trials[trials["outcome"].notna()]
    return len(ended), _runs(report, ended, read_steps)


def _runs(
    report: Report, trials: pd.DataFrame, read_steps: Callable[[Sequence[int]], pd.DataFrame]
) -> Iterator[ExportedRun]:
    digits = max(4, len(str(trials["number"].max() if len(trials) else 0)))
    answer = None if report.recommendation is None else report.recommendation.setting.number
    chosen = trials[trials["number"] == answer]
    for first in range(0, len(trials), TRIALS_AT_ONCE):
        part = trials.iloc[first : first + TRIALS_AT_ONCE]
        steps = dict(iter(read_steps([int(number) for number in part["number"]]).groupby("number")))
        for row in part.to_dict("records"):
            is_answer = len(chosen) > 0 and _is_same(row, chosen.iloc[0])
            of_run = steps.get(row["number"])
            yield _run(report.study.name, row, of_run, f"trial-{row['number']:0{digits}}", is_answer=is_answer)


def _run(
    study: str, row: Mapping[Hashable, Any], steps: pd.DataFrame | None, name: str, *, is_answer: bool
) -> ExportedRun:
    set_ = {key: row[key] for key in SET if pd.notna(row[key])}
    labels = {key: str(row[key]) for key in LABELS if pd.notna(row.get(key))}
    began = row["started_at"]
    return ExportedRun(
        name=name,
        params=set_ | dict(row["factors"] or {}) | dict(row.get("searched") or {}),
        measured={key: float(row[key]) for key in MEASURED if _is_number(row.get(key))}
        | {key: float(value) for key, value in (row["metrics"] or {}).items() if _is_number(value)},
        labels={"study": study, "number": str(row["number"]), **labels, "answer": str(is_answer).lower()},
        series={} if steps is None else {key: _series(steps, key) for key in AT_STEPS if steps[key].notna().any()},
        began=0.0 if pd.isna(began) else pd.Timestamp(began).timestamp(),
        seconds=float(row["seconds"]) if _is_number(row["seconds"]) else 0.0,
        steps=int(row["steps"]),
        failed=row["outcome"] == "failed",
    )


def _series(steps: pd.DataFrame, key: str) -> tuple[list[int], list[float]]:
    known = steps[steps[key].notna()]
    return known["step"].astype(int).tolist(), known[key].astype(float).tolist()


def _is_same(row: Mapping[Hashable, Any], chosen: "pd.Series[Any]") -> bool:
    """Whether two trials have the same setting."""
    alike = all(row[key] == chosen[key] or (pd.isna(row[key]) and pd.isna(chosen[key])) for key in SETTING)
    return alike and row["factors"] == chosen["factors"]


def _is_number(value: Any) -> bool:
    return value is not None and not pd.isna(value) and math.isfinite(value)
