import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from silent import Silent

from gradstudy.storage.database import Database
from gradstudy.storage.errors import NotFoundError
from gradstudy.storage.frames import read_steps, read_trials
from gradstudy.study.errors import TrialNotFoundError
from gradstudy.study.launch import create_or_resume
from gradstudy.study.spec.parts import SearchSpace
from gradstudy.study.spec.study_spec import StudySpec, parse_spec
from gradstudy.study.training.arrays import batching
from gradstudy.study.training.data import load_data
from gradstudy.study.training.replay import replay_trial
from gradstudy.study.worker.job import Job
from gradstudy.study.worker.worker import Worker

LANGUAGE_MODEL = """
import random

import torch
from torch import nn


class Language(nn.Module):
    def __init__(self):
        super().__init__()
        self.words, self.lstm, self.out = nn.Embedding(9, 6), nn.LSTM(6, 6, 2, dropout=0.2), nn.Linear(6, 9)
        self.hidden, self.step = None, 0

    def forward(self, words):
        self.step += 1
        x = self.words(words) + torch.randn(6) / self.step
        if self.hidden is not None and self.hidden[0].shape[1] != words.shape[1]:
            self.hidden = None
        x, hidden = self.lstm(x, self.hidden)
        self.hidden = tuple(part.detach() for part in hidden)
        return self.out(x) if random.random() < 0.5 else self.out(nn.functional.dropout1d(x, 0.1))


def problem(seed):
    make = torch.Generator().manual_seed(seed)
    batches = [torch.randint(9, (5, 2 if n % 7 == 6 else 4), generator=make) for n in range(15)]
    model, loss = Language(), lambda model, x: nn.functional.cross_entropy(model(x[:-1]).flatten(0, 1), x[1:].flatten())
    return model, batches, loss, batches[-2:]
"""

Execute = Callable[..., list[Any]]


@pytest.fixture
def ended_as(finished: Database) -> Callable[[str], int]:
    """The number of a trial with an outcome or a reason."""

    def number(how: str) -> int:
        trials = read_trials(finished, "s")
        return int(trials.loc[(trials["outcome"] == how) | (trials["reason"] == how), "number"].iloc[0])

    return number


@pytest.mark.parametrize("how", ["trained", "stalled", "blow_up"])
def test_a_replay_agrees_with_what_was_recorded(finished: Database, ended_as: Callable[[str], int], how: str) -> None:
    replay = replay_trial(finished, "s", ended_as(how))
    assert replay.agrees
    assert replay.first_difference is None
    assert len(replay.steps) == replay.recorded["steps"] == replay.result.steps
    assert replay.result.validation_loss == pytest.approx(replay.recorded["validation_loss"], nan_ok=True)


def test_the_replay_of_a_pruned_trial_ends_where_it_was_pruned(
    db: Database, work: Callable[..., None], spec: StudySpec
) -> None:
    work(db, spec.model_copy(update={"pruner": "median", "steps": 60, "trials": 30}))
    trials = read_trials(db, "s")
    pruned = trials[trials["outcome"] == "pruned"]
    assert len(pruned) > 3
    for number in pruned["number"].tolist()[:4]:
        replay = replay_trial(db, "s", number)
        assert replay.agrees
        assert len(replay.steps) == replay.recorded["steps"] == replay.result.steps < 60
        assert replay.result.final_loss == pytest.approx(replay.recorded["final_loss"])


def test_a_pruned_trial_that_diverges_in_the_replay_disagrees(
    finished: Database, ended_as: Callable[[str], int], execute: Execute
) -> None:
    number = ended_as("blow_up")
    execute(finished, "UPDATE gradstudy_trial SET outcome = 'pruned', reason = NULL")
    replay = replay_trial(finished, "s", number)
    assert not replay.agrees
    assert replay.result.outcome == "diverged"


@pytest.mark.parametrize(
    ("tampering", "step"),
    [
        ("UPDATE gradstudy_step SET loss = loss * 1.01 WHERE step = 2", 2),
        ("UPDATE gradstudy_step SET loss = NULL WHERE step = 1", 1),
        ("DELETE FROM gradstudy_step WHERE step = 2", 2),
        ("INSERT INTO gradstudy_step SELECT trial_id, 30, 1, 1, 1, 1 FROM gradstudy_trial", 30),
        ("UPDATE gradstudy_trial SET outcome = 'stalled'", None),
        ("UPDATE gradstudy_trial SET reason = 'blow_up'", None),
        ("UPDATE gradstudy_trial SET seed = seed + 1", 0),
    ],
)
def test_a_replay_disagrees_when_the_record_was_changed(
    finished: Database, ended_as: Callable[[str], int], execute: Execute, tampering: str, step: int | None
) -> None:
    number = ended_as("trained")
    execute(finished, tampering)
    replay = replay_trial(finished, "s", number)
    assert not replay.agrees
    assert replay.first_difference == step


def test_losses_that_were_not_finite_agree(db: Database, spec: StudySpec, work: Callable[..., None]) -> None:
    space = SearchSpace(strategies=("none",), learning_rate=(1e37, 3e38))
    rule = spec.divergence.model_copy(update={"blow_up": 1e300})
    work(db, spec.model_copy(update={"trials": 4, "space": space, "divergence": rule}))
    trials = read_trials(db, "s")
    number = int(trials.loc[trials["reason"] == "non_finite_loss", "number"].iloc[0])
    assert read_steps(db, "s", [number])["loss"].isna().sum() == 1
    assert replay_trial(db, "s", number).agrees


def test_an_unknown_trial_cannot_be_replayed(finished: Database) -> None:
    with pytest.raises(TrialNotFoundError, match="study 's' has no trial 12; its trials are 0 to 11"):
        replay_trial(finished, "s", 12)
    with pytest.raises(NotFoundError, match="there is no study 'other'"):
        replay_trial(finished, "other", 0)


def test_a_study_without_trials_has_nothing_to_replay(db: Database, spec: StudySpec) -> None:
    create_or_resume(db, spec)
    with pytest.raises(TrialNotFoundError, match="has no trial 0; its trials are none yet"):
        replay_trial(db, "s", 0)


@pytest.mark.parametrize("outcome", ["NULL", "'failed'"])
def test_a_trial_without_a_result_cannot_be_replayed(finished: Database, execute: Execute, outcome: str) -> None:
    execute(finished, f"UPDATE gradstudy_trial SET outcome = {outcome}")
    with pytest.raises(TrialNotFoundError, match="trial 0 of study 's' has no result to compare with"):
        replay_trial(finished, "s", 0)


def test_a_users_model_that_carries_draws_and_decides_is_replayed(db: Database, tmp_path: Path) -> None:
    (tmp_path / "carrying.py").write_text(LANGUAGE_MODEL)
    space = {"strategies": ["none", "norm"], "learning_rate": [0.03, 3], "thresholds": {"norm": [0.1, 1]}}
    task = {"task": "module:carrying:problem", "task_folder": str(tmp_path), "space": {**space, "cells": ["module"]}}
    spec = parse_spec({"name": "s", **task, "trials": 6, "steps": 20, "sampler": "random"})
    data = load_data(spec)
    tried = batching(spec, "module", data, "cpu")
    assert (tried.reason, tried.shares_coins, tried.counts_steps) == (None, True, True)
    record = create_or_resume(db, spec)

    Worker(Job(db, record, spec, data), slots=4, listener=Silent()).run(threading.Event())
    trials = read_trials(db, "s")
    assert set(trials["outcome"]) <= {"trained", "stalled", "diverged"}
    for number in trials["number"]:
        replay = replay_trial(db, "s", int(number))
        assert replay.agrees
        assert replay.steps["difference"].max() < 1e-4
