import io
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from simulated import frame_of, simulated_study, simulated_trials

from gradstudy.study.report.comparison import Comparison
from gradstudy.study.report.report import Report, build_report
from gradstudy.study.report.text_forms import stacked_tables, to_json, to_markdown, write_parquet

MIXED = simulated_trials(120, cells=("gru", "lstm"), strategies=("norm", "none"), edges=(0.5,) * 4)
STUDIES = {
    "empty": frame_of([]),
    "one trial": frame_of([{}]),
    "all diverged": MIXED.assign(outcome="diverged", validation_loss=np.nan),
    "none diverged": MIXED.assign(outcome="trained", diverged_at_step=pd.array([None] * len(MIXED), dtype="Int64")),
    "mixed": MIXED,
}


@pytest.fixture(params=STUDIES)
def report(request: pytest.FixtureRequest) -> Report:
    return build_report(simulated_study(trials=max(1, len(STUDIES[request.param]))), STUDIES[request.param])


def refuse(constant: str) -> None:
    pytest.fail(f"{constant} is not JSON")


def test_json_is_strict_and_holds_every_table(report: Report) -> None:
    content = json.loads(to_json(report), parse_constant=refuse)
    assert {name: len(rows) for name, rows in content["tables"].items()} == {
        name: len(frame) for name, frame in report.tables().items()
    }
    assert content["caveats"] == report.caveats
    assert (content["recommendation"] is None) == (report.recommendation is None)
    for name, rows in content["tables"].items():
        for row, values in zip(rows, report.tables()[name].to_dict("records"), strict=True):
            for column, value in values.items():
                assert row[column] == (
                    None if pd.isna(value) else pytest.approx(value) if isinstance(value, float) else value
                )


def csv(report: Report) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(stacked_tables(report).to_csv(index=False)), dtype_backend="numpy_nullable")


def parquet(report: Report) -> pd.DataFrame:
    file = io.BytesIO()
    write_parquet(report, file)
    return pd.read_parquet(file)


@pytest.mark.parametrize("read", [csv, parquet])
def test_stacked_tables_are_the_same_tables(report: Report, read: Callable[[Report], pd.DataFrame]) -> None:
    stacked = read(report)
    for name, frame in report.tables().items():
        rows = stacked[stacked["table"] == name]
        assert len(rows) == len(frame)
        for column in frame.columns if len(frame) else ():
            values = rows[column].to_list() if column in rows else [None] * len(rows)
            for stored, value in zip(values, frame[column], strict=True):
                assert (
                    pd.isna(stored)
                    if pd.isna(value)
                    else stored == pytest.approx(value)
                    if isinstance(value, float)
                    else stored == value
                )


def test_markdown_begins_with_the_answer_and_has_every_table(report: Report) -> None:
    lines = to_markdown(report).splitlines()
    assert lines[0] == "# s"
    answer = next(line for line in lines if line.startswith("**"))
    assert ("No setting can be recommended" in answer) == (report.recommendation is None)
    for start, line in enumerate(lines):
        if line.startswith("| ---"):
            assert lines[start - 1].count("|") == line.count("|") == lines[start + 1].count("|")
    assert sum(line.startswith("| ---") for line in lines) == sum(not frame.empty for frame in report.tables().values())


@pytest.mark.parametrize("write", [to_markdown, to_json])
def test_two_studies_are_compared_in_every_form(write: Callable[[Any], str]) -> None:
    reports = [
        build_report(simulated_study(name), trials) for name, trials in (("a", MIXED), ("b", STUDIES["one trial"]))
    ]
    comparison = Comparison(*reports)
    text = write(comparison)
    assert "a" in text
    assert "b" in text
    if write is to_json:
        content = json.loads(text, parse_constant=refuse)
        assert set(content["tables"]) == {"comparison", "frontier"}
        assert len(content["studies"]) == 2


def test_counts_stay_whole_numbers_in_csv() -> None:
    report = build_report(simulated_study(), MIXED)
    first = stacked_tables(report).to_csv(index=False).splitlines()[1].split(",")
    assert first[3] == str(report.strategies["runs"].iloc[0])
