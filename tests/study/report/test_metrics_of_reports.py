"""What a user's own metric measured, in the answer and in the tables; it changes nothing else of them."""

import io
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from simulated import appraised, simulated_study, simulated_trials

from gradstudy.study.answer.confirmation_plan import Chosen, confirmation_table
from gradstudy.study.answer.observation import mark_fresh
from gradstudy.study.report.report import build_report
from gradstudy.study.report.sentences import evidence
from gradstudy.study.report.tables import text_tables
from gradstudy.study.report.text_forms import stacked_tables, to_json, to_markdown
from gradstudy.study.statistics.settings import by_setting

PLAIN = simulated_trials(120, cells=("gru", "lstm"), strategies=("norm", "none"))


def measured(trials: pd.DataFrame) -> pd.DataFrame:
    """An accuracy that falls with the loss, of each run that did not diverge; a second number that is not finite."""
    found = [{"accuracy": 10 - loss, "undefined": None} if loss == loss else {} for loss in trials["validation_loss"]]
    return trials.assign(metrics=pd.Series(found, trials.index, dtype="object"))


def test_the_answer_and_its_tables_show_metrics_and_are_the_same_otherwise() -> None:
    study = simulated_study(trials=120)
    plain, shown = build_report(study, PLAIN), build_report(study, measured(PLAIN))
    assert plain.metrics.empty
    assert plain.recommendation is not None
    assert shown.recommendation is not None
    found = shown.recommendation.evidence
    assert replace(shown.recommendation, evidence=replace(found, metrics=())) == plain.recommendation
    chosen = PLAIN[PLAIN["number"] == shown.recommendation.setting.number].iloc[0]
    assert found.metrics == (("accuracy", pytest.approx(10 - chosen["validation_loss"]), 1),)
    line = f"Beside the loss, the mean of 1 run that did not diverge: accuracy {10 - chosen['validation_loss']:.3g}."
    assert line in evidence(shown)
    assert line in to_markdown(shown)
    (made,) = (table for table in text_tables(shown) if table.name == "metrics")
    assert made.headings[-2:] == ["accuracy", "undefined"]
    assert [row[-1][0] for row in made.rows] == ["–"] * len(made.rows)
    for name, table in plain.tables().items():
        if name != "metrics":
            pd.testing.assert_frame_equal(table, shown.tables()[name])
    table = shown.metrics.set_index(["cell", "strategy"])
    assert len(table) == len(shown.strategies)
    np.testing.assert_allclose(table["metric accuracy"], 10 - table["validation_loss"])
    assert table["metric undefined"].isna().all()
    rows = json.loads(to_json(shown))["tables"]["metrics"]
    assert [row["metric accuracy"] for row in rows] == pytest.approx(table["metric accuracy"].tolist())
    csv = pd.read_csv(io.StringIO(stacked_tables(shown).to_csv(index=False)))
    stacked = csv.loc[csv["table"] == "metrics", "metric accuracy"]
    np.testing.assert_allclose(stacked, table["metric accuracy"])


def test_settings_with_several_runs_have_the_mean_of_those_that_did_not_diverge() -> None:
    rows = [{"learning_rate": rate, "seed": seed} for rate in (0.1, 1.0) for seed in range(4)]
    trials = PLAIN.head(8).assign(**pd.DataFrame(rows), cell="lstm", strategy="norm", threshold=1.0, number=range(8))
    trials["outcome"] = ["trained", "diverged", "trained", "stalled"] * 2
    trials["metrics"] = pd.Series([{"wer": n / 8} if n % 4 != 1 else {} for n in range(8)], dtype="object")
    table = by_setting(trials).set_index("learning_rate")["metric wer"]
    assert table[0.1] == pytest.approx((0 + 2 + 3) / 24)
    assert table[1.0] == pytest.approx((4 + 6 + 7) / 24)
    chosen = [
        Chosen(cell="lstm", strategy="norm", threshold=1.0, learning_rate=rate, multiple=1.0, number=3)
        for rate in (1.0, 0.1, 5.0)
    ]
    confirmed = confirmation_table(chosen, trials)
    assert confirmed["metric wer"].tolist() == pytest.approx([17 / 24, 5 / 24, np.nan], nan_ok=True)
    fresh = mark_fresh(trials.head(4), "qmc", 1, trials.tail(4))
    observation = appraised(trials.head(4), "qmc", trials.tail(4)).observation
    setting = int(observation.settings.index[observation.settings["learning_rate"] == 1.0][0])
    assert fresh["fresh"].sum() == 4
    assert dict(observation.metrics(setting, fresh=True)) == {"wer": (pytest.approx(17 / 24), 3)}
