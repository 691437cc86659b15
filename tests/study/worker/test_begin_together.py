"""Trials that begin together: what runs does not wait for them."""

import threading
from collections.abc import Callable

import pytest
from waiting import PATIENCE_SECONDS

from gradstudy.storage.database import Database
from gradstudy.storage.frames import read_trials
from gradstudy.study.spec.axis import ValueList
from gradstudy.study.spec.study_spec import StudySpec
from gradstudy.study.training.arrays import Slots
from gradstudy.study.worker import worker
from gradstudy.study.worker.bookkeeping import Bookkeeping

SLOTS = 8


def test_what_runs_is_trained_on_while_trials_that_begin_together_are_asked_for(
    db: Database, spec: StudySpec, work: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    begin, advance = Bookkeeping.begin, Slots.advance
    begun: list[int] = []
    trained_on = threading.Event()

    def late(self):
        begun.append(len(begun))
        if len(begun) > SLOTS:
            assert trained_on.wait(PATIENCE_SECONDS)
        return begin(self)

    def trains_fewer(self, *most):
        if 0 < len(self.keys) <= SLOTS - 2:
            trained_on.set()
        return advance(self, *most)

    monkeypatch.setattr(worker, "begin_together", lambda *_: 2)
    monkeypatch.setattr(Bookkeeping, "begin", late)
    monkeypatch.setattr(Slots, "advance", trains_fewer)
    half_diverge = {
        "cells": ("lstm",),
        "strategies": ("none",),
        "thresholds": {},
        "learning_rate": ValueList((0.1, 1e6)),
    }
    space = spec.space.model_copy(update=half_diverge)
    work(db, spec.model_copy(update={"space": space}), slots=SLOTS)
    assert trained_on.is_set()
    assert len(read_trials(db, "s")) == spec.trials
