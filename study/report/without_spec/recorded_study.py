"""A study of recorded runs as the record that a report is made of."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pandas as pd

from gradstudy.storage.studies import StudyRecord
from gradstudy.study.report.without_spec.known_space import known_space
from gradstudy.study.spec.plain import GIVEN, PLAIN
from gradstudy.study.wording import counted

CHOSEN_ELSEWHERE = "none"
"""In the place of the sampler: whoever ran the runs chose their settings."""


def as_known(record: StudyRecord, trials: pd.DataFrame) -> StudyRecord:
    """The record with what its runs, rows of ``trial_result``, tell at the places where a spec has it."""
    names = sorted({name for each in trials["factors"] for name in each})
    spec: dict[str, Any] = {
        "sampler": CHOSEN_ELSEWHERE,
        "seeds": 1,
        "optimizer": "own",
        "space": known_space(trials, names),
        PLAIN: {"maximized": False, "reference": GIVEN, "notes": list(_notes(trials))},
    }
    return replace(record, spec=record.spec | spec)


def _notes(trials: pd.DataFrame) -> Iterator[str]:
    """What a reader must know of such runs, the most important first."""
    ended = trials[trials["outcome"].notna()]
    if ended.empty:
        return
    yield (
        "The runs were recorded by their own programs, and whoever ran them chose the settings: rates over a range are "
        "those of the runs that there are, and no fresh runs confirm the answer; run it again with other seeds."
    )
    judged = ended[ended["outcome"].isin(["trained", "stalled"])]
    lengths = judged["steps"]
    if len(judged) and lengths.min() < lengths.max():
        yield (
            f"The runs are of {lengths.min():,} to {lengths.max():,} steps: a loss after more of them is compared with "
            "one after fewer."
        )
    own = judged["validation_loss"].eq(judged["final_loss"]) & judged["initial_validation_loss"].eq(
        judged["initial_loss"]
    )
    if own.any():
        yield (
            f"{counted(int(own.sum()), 'run')} told no validation loss: the smoothed loss of training stands in its "
            "place."
        )
    yield (
        "Where a program did not say the loss of its untrained model, that of the first step is taken: of one batch, "
        "so that what it varies by is not known."
    )
