"""Hyperparameters of the optimizer that are searched on a range, from the sampler to the answer."""

import re
from collections.abc import Callable

import numpy as np
import optuna
import pandas as pd
import pytest
from scipy.stats import kstest

from gradstudy.storage.database import Database
from gradstudy.storage.frames import read_trials
from gradstudy.storage.studies import find_study
from gradstudy.study.answer.confirmation_study import begin_confirmation, confirmation_results, enqueue_round
from gradstudy.study.report.html import html_report, read_drawn_steps
from gradstudy.study.report.report import read_report
from gradstudy.study.search.from_spec import make_sampler
from gradstudy.study.search.space import from_row, parameters, suggest, to_row
from gradstudy.study.spec.chosen_setting import chosen_setting
from gradstudy.study.spec.study_spec import StudySpec, parse_spec, stored_spec
from gradstudy.study.training.recorded_trial import in_words
from gradstudy.study.training.replay import replay_trial

RANGES = {"beta2": [0.9, 0.9999], "epsilon": [1e-8, 1e-2]}
SPACE = {"strategies": ["none", "norm"], "cells": ["gru"], "learning_rate": [1e-3, 30], "hyperparameters": RANGES}


@pytest.fixture(scope="module")
def searching(spec: StudySpec) -> StudySpec:
    values = {"optimizer": "adam", "trials": 24, "seeds": 2, "space": SPACE}
    return parse_spec(spec.model_dump(mode="json") | values)


def is_said(beta2: float, words: str) -> bool:
    """Whether a sentence has it, to four digits of what it lacks to one."""
    said = float(re.findall(r"beta2 ([\d.]+\d)", words)[0])
    return 1 - said == pytest.approx(1 - beta2, rel=1e-3)


@pytest.mark.parametrize("sampler", ["qmc", "random", "tpe"])
def test_values_are_spread_evenly_on_the_logarithm_of_what_they_lack_to_one(searching: StudySpec, sampler: str) -> None:
    spec = searching.model_copy(update={"sampler": sampler, "trials": 512, "seeds": 1})
    study = optuna.create_study(sampler=make_sampler(spec))
    found = [dict(suggest(study.ask(), spec).factors) for _ in range(128)]
    lacks = [np.log10(1 - float(each["beta2"])) for each in found]
    epsilons = [np.log10(float(each["epsilon"])) for each in found]
    assert -4 - 1e-9 <= min(lacks) <= max(lacks) <= -1 + 1e-9
    assert kstest(lacks, "uniform", (-4, 3)).pvalue > 1e-3
    assert kstest(epsilons, "uniform", (-8, 6)).pvalue > 1e-3
    assert abs(np.corrcoef(lacks, epsilons)[0, 1]) < 0.35


def test_a_setting_survives_the_database_and_optuna(searching: StudySpec) -> None:
    study = optuna.create_study(sampler=make_sampler(searching))
    setting = suggest(study.ask(), searching)
    assert from_row(to_row(setting)) == setting
    known = parameters(setting, searching.space)
    study.enqueue_trial(known)
    assert suggest(study.ask(), searching) == setting
    beta2 = dict(setting.factors)["beta2"]
    assert known["one_minus_beta2"] == pytest.approx(1 - float(beta2), rel=1e-12)


def test_a_chosen_setting_has_a_value_of_the_range(searching: StudySpec) -> None:
    given = {"strategy": "none", "learning_rate": "0.1", "beta2": "0.95", "epsilon": "1e-4"}
    assert chosen_setting(given, searching).factors == {"beta2": 0.95, "epsilon": 1e-4}


def test_a_study_that_searches_has_a_report_from_its_first_trial_on(
    db: Database, work: Callable[..., None], searching: StudySpec
) -> None:
    work(db, searching.model_copy(update={"trials": 1, "seeds": 1}))
    report = read_report(db, "s")
    assert len(report.trials) == 1
    assert report.factors.empty
    assert "1 of 1 trials: 1 " in html_report(report, read_drawn_steps(db, report))


def test_trials_are_trained_recorded_and_reported_with_their_own_values(
    db: Database, work: Callable[..., None], searching: StudySpec
) -> None:
    work(db, searching)
    trials = read_trials(db, "s")
    assert all(factors == {} for factors in trials["factors"])
    values = pd.DataFrame(trials["searched"].tolist())
    assert values["beta2"].between(0.9, 0.9999).all()
    assert values["beta2"].nunique() == 12  # two runs of each setting
    for number in (0, 7, 13):
        assert replay_trial(db, "s", number).agrees
    assert is_said(values["beta2"][0], in_words(trials.iloc[0].to_dict()))

    report = read_report(db, "s")
    assert sorted(report.strategies["strategy"]) == ["none", "norm"]
    assert "factors" not in report.strategies
    assert {"beta2", "epsilon"} <= set(report.importance["factor"])
    parts = report.factors[report.factors["factor"] == "beta2"]
    assert parts["runs"].tolist() == [6, 6, 6, 6]
    assert report.recommendation is not None
    best = trials.set_index("number").loc[report.recommendation.setting.number, "searched"]
    assert f"eps={best['epsilon']:g}" in report.recommendation.pytorch
    betas = report.recommendation.pytorch.partition("betas=(0.9, ")[2].partition(")")[0]
    assert 1 - float(betas) == pytest.approx(1 - best["beta2"], rel=1e-5)
    assert is_said(best["beta2"], report.recommendation.setting.factors)

    confirmation = begin_confirmation(db, find_study(db, "s"), 1, 24)
    assert enqueue_round(db, confirmation, 0.9, 24)
    work(db, stored_spec(find_study(db, "s-confirm")))
    table, fresh = confirmation_results(db, confirmation)
    assert table["runs"].sum() == len(fresh) > 0
    chosen = {str(setting.factors) for setting in confirmation.chosen}
    assert {str(searched) for searched in fresh["searched"]} <= chosen

    confirmed = read_report(db, "s").recommendation
    assert confirmed is not None
    assert confirmed.evidence.fresh is not None  # its fresh runs, which may be at a rate that no trial of the study had
    at = table["learning_rate"] == confirmed.evidence.fresh.learning_rate
    assert confirmed.evidence.fresh.runs == table.loc[at, "runs"].sum() > 0
    assert sum(beside.runs for beside in confirmed.evidence.beside) <= table.loc[~at, "runs"].sum()
