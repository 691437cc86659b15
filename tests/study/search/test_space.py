import optuna
import pytest

from gradstudy.storage.database import Database
from gradstudy.storage.frames import read_trials
from gradstudy.storage.queue import SettingRow
from gradstudy.study.search.space import Setting, from_row, parameters, suggest, to_row
from gradstudy.study.spec.study_spec import parse_spec

SPEC = parse_spec(
    {
        "name": "s",
        "task": "copy",
        "space": {
            "strategies": ["none", "norm"],
            "factors": {"layers": [1, 2], "attention": [True, False], "hidden_size": [8, 16]},
        },
    }
)
SETTINGS = [
    Setting(cell="gru", strategy="none", threshold=None, learning_rate=0.1),
    Setting(
        cell="lstm",
        strategy="norm",
        threshold=0.25,
        learning_rate=1 / 3,
        factors=(("attention", True), ("hidden_size", 8), ("layers", 2)),
    ),
]


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_setting_comes_back_from_the_database_as_it_was(setting: Setting) -> None:
    assert from_row(to_row(setting)) == setting
    assert from_row(SettingRow.of(to_row(setting).columns())) == setting


def test_a_setting_comes_back_from_what_optuna_was_asked() -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(20):
        trial = study.ask()
        setting = suggest(trial, SPEC)
        assert parameters(setting, SPEC.space) == trial.params
        assert suggest(optuna.trial.FixedTrial(trial.params), SPEC) == setting


def test_a_row_of_a_frame_is_the_setting_that_was_stored(finished: Database) -> None:
    with finished.engine.connect() as connection:
        query = "SELECT ordinal, cell, strategy, threshold, learning_rate FROM gradstudy_trial"
        stored = {row[0]: tuple(row[1:]) for row in connection.exec_driver_sql(query)}
    rows = read_trials(finished, "s").to_dict("records")
    settings = [from_row(SettingRow.of({str(name): value for name, value in row.items()})) for row in rows]
    found = [(one.cell, one.strategy, one.threshold, one.learning_rate) for one in settings]
    assert sorted(map(str, found)) == sorted(map(str, stored.values()))
    assert None in [setting.threshold for setting in settings]
