from collections.abc import Callable

import pytest
from one_trial import begin_trial, claim_trial

from gradstudy.storage.claiming import end_study
from gradstudy.storage.database import Database
from gradstudy.storage.frames import read_trials
from gradstudy.storage.progress import REMAINING, RUNNING, count_outcomes
from gradstudy.storage.queue import SettingRow
from gradstudy.storage.studies import find_study
from gradstudy.storage.workers import register_worker
from gradstudy.study.errors import SpecError
from gradstudy.study.launch import create_or_resume, enqueue
from gradstudy.study.spec.chosen_setting import chosen_setting, setting_in_words
from gradstudy.study.spec.study_spec import StudySpec, parse_spec

Work = Callable[..., None]
SETTING = ["cell", "strategy", "threshold", "learning_rate"]
NORM = SettingRow(cell="gru", strategy="norm", threshold=0.04, learning_rate=0.5)
NONE = SettingRow(cell="lstm", strategy="none", threshold=None, learning_rate=0.1)


@pytest.fixture
def short(spec: StudySpec) -> StudySpec:
    return spec.model_copy(update={"steps": 2, "seeds": 2})


def left(db: Database) -> int:
    counts = count_outcomes(db.engine, find_study(db, "s"))
    return counts[REMAINING] + counts[RUNNING]


@pytest.mark.parametrize("sampler", ["auto", "qmc", "random", "tpe", "frontier"])
def test_chosen_settings_run_first_with_every_seed_and_the_others_as_without_them(
    db: Database, short: StudySpec, work: Work, sampler: str
) -> None:
    spec = short.model_copy(update={"sampler": sampler})
    record = create_or_resume(db, spec)
    assert enqueue(db, record, [NORM, NONE]) == [NORM, NONE]
    work(db, spec, slots=1)
    trials = read_trials(db, "s").sort_values("number")
    assert len(trials) == 12 + 4
    first = [SettingRow.of(row) for row in trials.head(4).to_dict("records")]
    assert first == [NORM, NORM, NONE, NONE]
    assert trials["seed"].nunique() == 16
    assert left(db) == 0


def test_the_samplers_settings_are_those_of_a_study_without_chosen_ones(
    new_db: Callable[[], Database], short: StudySpec, work: Work
) -> None:
    plain, chosen = new_db(), new_db()
    work(plain, short)
    enqueue(chosen, create_or_resume(chosen, short), [NORM])
    work(chosen, short)
    settings = [read_trials(each, "s").sort_values("ordinal").head(12) for each in (plain, chosen)]
    assert (
        settings[0][[*SETTING, "seed"]].to_numpy().tolist()[:3]
        == settings[1][[*SETTING, "seed"]].to_numpy().tolist()[:3]
    )
    assert settings[0]["learning_rate"].tolist() == settings[1]["learning_rate"].tolist()


def test_the_same_command_again_puts_in_nothing(db: Database, short: StudySpec, work: Work) -> None:
    record = create_or_resume(db, short)
    assert enqueue(db, record, [NORM, NORM]) == [NORM]
    assert enqueue(db, record, [NORM, NONE]) == [NONE]
    assert find_study(db, "s").budget == 16
    work(db, short)
    assert enqueue(db, find_study(db, "s"), [NORM, NONE]) == []
    assert left(db) == 0


def test_a_study_that_is_done_goes_on_with_a_chosen_setting(db: Database, short: StudySpec, work: Work) -> None:
    work(db, short)
    assert left(db) == 0
    enqueue(db, find_study(db, "s"), [NORM])
    assert left(db) == 2
    work(db, short)
    assert left(db) == 0
    assert len(read_trials(db, "s")) == 14


def test_a_study_that_ends_early_still_runs_what_was_chosen(db: Database, short: StudySpec) -> None:
    record = create_or_resume(db, short)
    worker = register_worker(db.engine, "here", 1, "cpu")

    def claim() -> int | None:
        claimed = claim_trial(db.engine, record, worker, int, replicates=2, places=12)
        if claimed is None:
            return None
        begin_trial(db.engine, claimed, claimed.setting or NONE)
        return claimed.ordinal

    assert claim() == 0
    enqueue(db, record, [NORM])
    assert end_study(db.engine, record, 2, 12) == 2 + 2
    assert [claim() for _ in range(3)] == [12, 13, None]
    enqueue(db, record, [SettingRow(cell="lstm", strategy="none", threshold=None, learning_rate=3.0)])
    assert [claim() for _ in range(3)] == [14, 15, None]


def test_a_grid_takes_no_chosen_settings(spec: StudySpec) -> None:
    space = {"cells": ["lstm"], "strategies": ["none"], "learning_rate": 1}
    grid = parse_spec(spec.model_dump(mode="json", exclude={"sampler", "trials"}) | {"space": space})
    with pytest.raises(SpecError, match=r"^a grid runs every setting of its space"):
        chosen_setting({"learning_rate": "1"}, grid)


VARIED = parse_spec(
    {"name": "s", "space": {"strategies": ["none", "norm"], "thresholds": {"norm": 1}, "learning_rate": [0.1, 10],
                            "factors": {"hidden_size": [8, 16], "attention": [False, True], "dropout": [0, 0.5]}}}
)  # fmt: skip


def test_what_a_study_holds_need_not_be_given() -> None:
    given = {"cell": "gru", "strategy": "norm", "learning_rate": "0.25"}
    factors = {"hidden_size": "16", "attention": "true", "dropout": "0"}
    setting = chosen_setting(given | factors, VARIED)
    assert setting == SettingRow(
        cell="gru", strategy="norm", threshold=1.0, learning_rate=0.25,
        factors={"hidden_size": 16, "attention": True, "dropout": 0.0},
    )  # fmt: skip
    assert setting_in_words(setting) == (
        "GRU, norm at 1, learning rate 0.25, attention true, dropout 0.0, hidden_size 16"
    )


SEARCHED = "of a chosen setting must be one that the study searches"


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [({"hidden_size": "32"}, f"hidden_size {SEARCHED}, 8, 16, but got '32'"),
     ({"attention": "1"}, f"attention {SEARCHED}, false, true, but got '1'"),
     ({"threshold": "2"}, f"threshold {SEARCHED}, 1, but got '2'"),
     ({"learning_rate": "fast"}, f"learning_rate {SEARCHED}, 0.1 to 10, but got 'fast'"),
     ({"depth": "1"}, "a setting of this study has no 'depth'; it has cell, strategy, threshold, learning_rate, "
                      "hidden_size, attention, dropout")],
)  # fmt: skip
def test_a_setting_that_is_not_in_the_space_is_refused(wrong: dict[str, str], sentence: str) -> None:
    given = {"cell": "gru", "strategy": "norm", "learning_rate": "1"}
    factors = {"hidden_size": "16", "attention": "true", "dropout": "0.5"}
    with pytest.raises(SpecError) as caught:
        chosen_setting(given | factors | wrong, VARIED)
    assert str(caught.value) == sentence
