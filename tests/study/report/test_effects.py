from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from simulated import INITIAL_LOSS, frame_of, simulated_study

from gradstudy.study.answer.effects import effects
from gradstudy.study.report.caveats import caveats
from gradstudy.study.report.comparison import Comparison, rate_difference
from gradstudy.study.report.report import Report, build_report
from gradstudy.study.report.text_forms import to_json, to_markdown
from gradstudy.study.statistics.settings import by_setting

SPACE = {"cells": ["lstm"], "strategies": ["none", "norm"], "learning_rate": 0.5, "thresholds": {"norm": 1}}


def report_of(none: Sequence[float], norm: Sequence[float], diverged: int = 0) -> Report:
    """Runs without clipping, of which some more diverged, and with it; all at one learning rate."""
    rows = [
        {"strategy": strategy, "threshold": 1.0 if strategy == "norm" else np.nan, "learning_rate": 0.5,
         "validation_loss": loss, "final_loss": loss}
        for strategy, ended in (("none", none), ("norm", norm))
        for loss in ended
    ]  # fmt: skip
    lost = {"strategy": "none", "threshold": np.nan, "learning_rate": 0.5, "outcome": "diverged", "reason": "blow_up",
            "validation_loss": np.nan, "final_loss": 5 * INITIAL_LOSS, "diverged_at_step": 3}  # fmt: skip
    rows += [lost] * diverged
    trials = frame_of(row | {"number": number, "seed": number} for number, row in enumerate(rows))
    return build_report(simulated_study(sampler="grid", seeds=20, trials=40, space=SPACE), trials)


NEAR = tuple(2.0 + 0.01 * np.sin(np.arange(20)))
FAR = tuple(2.0 + 0.3 * np.sin(np.arange(20)))


@pytest.mark.parametrize(
    ("none", "norm", "diverged", "verdict"),
    [
        (NEAR, np.subtract(NEAR, 0.5), 0, "better"),
        (NEAR, np.add(NEAR, 0.5), 0, "worse"),
        (NEAR, NEAR, 0, "about as good, within 2% of the untrained loss"),
        (FAR, FAR, 0, "these runs cannot tell the two apart"),
        (NEAR[:10], NEAR, 10, "better"),
    ],
)
def test_a_difference_that_is_seen_one_that_is_not_and_none_are_different_words(
    none: Sequence[float], norm: Sequence[float], diverged: int, verdict: str
) -> None:
    (sentence,) = report_of(none, norm, diverged).effects
    assert sentence.startswith("LSTM, learning rate 0.5: norm at 1 instead of none: 0 of 20 runs diverged instead of ")
    assert f"instead of {diverged} of 20" in sentence
    assert sentence.endswith(f"): {verdict}.")


def test_every_form_of_the_report_says_what_clipping_does() -> None:
    report = report_of(NEAR, np.subtract(NEAR, 0.5))
    for text in (to_markdown(report), to_json(report)):
        assert report.effects[0].split(":")[1].strip() in text
    assert "## Each setting" in to_markdown(report)


def test_of_many_comparisons_the_table_tells() -> None:
    report = report_of(NEAR, np.subtract(NEAR, 0.5))
    many = [report.trials.assign(learning_rate=rate) for rate in range(1, 9)]
    assert effects(by_setting(pd.concat(many))) == []


def test_where_one_learning_rate_is_held_nothing_is_said_of_others() -> None:
    report = report_of(NEAR, np.subtract(NEAR, 0.5), 0)
    assert report.frontiers.empty
    assert report.strategies["usable_decades"].isna().all()
    assert report.recommendation is not None
    evidence = report.recommendation.evidence
    assert report.recommendation.setting.strategy == "norm"
    assert evidence.firm
    assert evidence.risk == pytest.approx(0.5 / 21)
    assert evidence.cautions == ()
    assert any(sentence.startswith("Every run has the learning rate 0.5: ") for sentence in report.caveats)
    assert not any("frontier" in sentence for sentence in report.caveats)


def test_the_rates_of_a_grid_are_of_its_runs() -> None:
    report = report_of(NEAR[:10], NEAR, 10)
    rows = report.strategies.set_index("strategy")
    of_twenty = pytest.approx([0.299, 0.701], abs=1e-3)
    assert rows.loc["none", ["rate_low", "rate_high"]].tolist() == of_twenty
    assert report.bins.set_index("strategy").loc["none", ["rate_low", "rate_high"]].tolist() == of_twenty
    row = Comparison(report, report_of(NEAR, NEAR)).table.set_index("strategy").loc["none"]
    assert row[["difference", "difference_low", "difference_high"]].tolist() == pytest.approx(
        rate_difference(10, 20, 0, 20)
    )
    assert not any(
        "intervals count a setting once" in sentence
        for sentence in caveats(report.study, report.trials, report.strategies, report.frontiers)
    )
