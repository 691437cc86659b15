from collections.abc import Callable
from json import loads

import optuna
import pytest
from typer.testing import Result

from gradstudy.storage.database import Database
from gradstudy.storage.frames import read_trials
from gradstudy.storage.progress import count_outcomes
from gradstudy.storage.studies import find_study
from gradstudy.study import open_study
from gradstudy.study.report.report import read_report

Run = Callable[..., Result]


def rows(db: Database, sql: str) -> list[tuple[object, ...]]:
    with db.engine.connect() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(sql)]


def done(result: Result) -> str:
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout


def test_an_excluded_trial_is_kept_and_shown_and_counts_nowhere(finished: Database, gradstudy: Run) -> None:
    before = read_report(finished, "s")
    best = before.recommendation
    assert best is not None
    number = best.setting.number
    assert number is not None
    said = done(gradstudy("exclude", "s", str(number), "--why", "the disk was full"))
    assert said == f"excluded 1 trial of study s: {number}\n"

    after = read_report(finished, "s")
    assert number not in set(after.trials["number"])
    assert len(after.trials) == len(before.trials) - 1
    assert after.recommendation is None or after.recommendation.setting.number != number
    assert after.strategies["runs"].sum() == before.strategies["runs"].sum() - 1
    assert f"1 trial is excluded and counts nowhere: {number} (the disk was full)." in after.caveats
    assert not any("have not ended" in caveat for caveat in after.caveats)
    assert "1 excluded" in done(gradstudy("report", "s"))
    shown = loads(done(gradstudy("report", "s", "--format", "json")))
    assert shown["excluded"] == [{"number": number, "why": "the disk was full"}]

    assert number not in set(read_trials(finished, "s")["number"])
    with open_study("s") as study:
        kept = study.trials().set_index("number")
    assert kept.loc[number, "excluded"] == "the disk was full"
    assert kept.loc[number, "outcome"] == "trained"
    [(summed,)] = rows(finished, "SELECT SUM(n) FROM setting_summary WHERE study = 's'")
    assert summed == before.strategies["runs"].sum() - 1
    counts = count_outcomes(finished.engine, find_study(finished, "s"))
    assert (counts["excluded"], counts["remaining"], sum(counts.values())) == (1, 0, 8)
    assert "excluded" in done(gradstudy("status"))


def test_samplers_and_the_dashboard_see_a_failed_trial(finished: Database, gradstudy: Run) -> None:
    number = optuna.load_study(study_name="s", storage=finished.optuna_storage).best_trial.number
    done(gradstudy("exclude", "s", str(number), "--why", "wrong data"))
    study = optuna.load_study(study_name="s", storage=finished.optuna_storage)
    trial = study.get_trials()[number]
    assert trial.state is optuna.trial.TrialState.FAIL
    assert trial.user_attrs["excluded"] == "wrong data"
    assert study.best_trial.number != number


def test_what_was_excluded_counts_again(finished: Database, gradstudy: Run) -> None:
    tables = ("SELECT * FROM gradstudy_trial ORDER BY id", "SELECT * FROM trials ORDER BY trial_id",
              "SELECT * FROM trial_result ORDER BY number", "SELECT * FROM setting_summary")  # fmt: skip
    before = [rows(finished, sql) for sql in tables]
    done(gradstudy("exclude", "s", "0", "5", "3", "--why", "first thought"))
    done(gradstudy("exclude", "s", "0", "--why", "second thought"))
    assert read_report(finished, "s").excluded == {0: "second thought", 3: "first thought", 5: "first thought"}
    assert done(gradstudy("exclude", "s", "3", "0", "5", "--undo")) == "included 3 trials of study s: 0, 3, 5\n"
    assert [rows(finished, sql) for sql in tables] == before
    assert (
        optuna.load_study(study_name="s", storage=finished.optuna_storage).get_trials()[0].user_attrs.get("excluded")
        is None
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["0"], "say why"),
        (["0", "--why", "  "], "say why"),
        (["0", "--why", "x", "--undo"], "takes no --why"),
        (["99", "--why", "x"], "has no trial 99; its trials are 0 to 7"),
        (["0", "-1", "--why", "x"], "No such option"),
        (["0", "99", "--why", "x"], "has no trial 99"),
        (["0", "--undo"], "trial 0 of study 's' is not excluded"),
    ],
)
def test_what_cannot_be_excluded_is_said_and_nothing_is(
    finished: Database, gradstudy: Run, given: list[str], said: str
) -> None:
    result = gradstudy("exclude", "s", *given)
    assert result.exit_code == 2
    assert said in result.stderr
    assert len(read_trials(finished, "s")) == 8


def test_the_study_goes_on_without_running_the_setting_again(finished: Database, gradstudy: Run) -> None:
    done(gradstudy("exclude", "s", "0", "--why", "wrong data"))
    done(gradstudy("launch", "s"))
    assert len(read_trials(finished, "s")) == 7
    assert len(rows(finished, "SELECT * FROM gradstudy_trial")) == 8
