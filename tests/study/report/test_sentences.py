"""What a report says of a study in words."""

from typing import Any

import pytest

from gradstudy.storage.database import Database
from gradstudy.study.launch import create_or_resume
from gradstudy.study.report.report import read_report
from gradstudy.study.report.sentences import title, usable_ends
from gradstudy.study.spec.study_spec import parse_spec


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "copy, sgd, hidden 64, batch 32, 300 steps a trial"),
        (
            {
                "model": {"bidirectional": True, "attention": "bahdanau", "tied": True, "label_smoothing": 0.1},
                "precision": "bfloat16",
            },
            "copy, sgd, hidden 64, batch 32, bidirectional encoder, bahdanau attention, tied embeddings, "
            "label smoothing 0.1, bfloat16, 300 steps a trial",
        ),
        (
            {"model": {"tied": True}, "space": {"factors": {"attention": ["dot", "none"], "tied": ["true", "false"]}}},
            "copy, sgd, hidden 64, batch 32, 300 steps a trial, attention dot/none, tied true/false",
        ),
    ],
)
def test_the_title_says_what_models_have(db: Database, given: dict[str, Any], said: str) -> None:
    create_or_resume(db, parse_spec({"name": "t", "task": "copy"} | given))
    assert title(read_report(db, "t")) == said


@pytest.mark.parametrize(
    ("low", "high", "rate", "ends"),
    [
        (5.9, 9.2, 7.04, ("5.9", "9.2")),
        (5.9, 9.2, 10.1, ("5.9", "10.1")),  # a step of the range above it
        (5.9, 10.14, 10.1, ("5.9", "10.1")),  # of which 10 would be too low
        (0.00516, 0.0102, 0.00514, ("0.00514", "0.01")),
        (5.9, 9.2, 12.0, None),
        (5.9, 5.9, 5.9, None),
    ],
)
def test_the_rates_that_are_about_as_good_hold_the_answers(
    low: float, high: float, rate: float, ends: tuple[str, str] | None
) -> None:
    assert usable_ends(low, high, rate) == ends
