"""Sizes that are larger than of any use are made smaller, with a word."""

import os

import pytest

from gradstudy.scripts.running.one_worker import WORKERS_A_CORE, Engine, Work, fitted

CORES = os.cpu_count() or 1
HUGE = 10**30


def work(**given: object) -> Work:
    values = {"workers": 1, "slots": "auto", "threads": 1, "device": "cpu"} | given
    return Work(**values)  # type: ignore[arg-type]


def test_what_can_be_used_stays(capsys: pytest.CaptureFixture[str]) -> None:
    given = work(workers=CORES, slots="8", threads=CORES)
    assert fitted(given, trials=8) == given
    assert fitted(work(), trials=1) == work()
    assert capsys.readouterr().err == ""


def test_what_is_too_large_is_made_smaller_and_told(capsys: pytest.CaptureFixture[str]) -> None:
    made = fitted(work(workers=HUGE, slots=str(HUGE), threads=HUGE), trials=8)
    assert made == work(workers=WORKERS_A_CORE * CORES, slots="8", threads=CORES)
    assert f"--slots {HUGE} becomes 8, one for each trial of the study: more are of no use" in capsys.readouterr().err


def test_a_cluster_may_have_more_cores(capsys: pytest.CaptureFixture[str]) -> None:
    given = work(workers=500, threads=64, engine=Engine.RAY)
    assert fitted(given, trials=8) == given
