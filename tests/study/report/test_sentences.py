"""What a report says of a study in words."""

from typing import Any

import pytest

from gradstudy.storage.database import Database
from gradstudy.study.launch import create_or_resume
from gradstudy.study.report.report import read_report
from gradstudy.study.report.sentences import title
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
