"""The installed Optuna and optuna-dashboard still have what is not public of them and used here."""

import ast
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import optuna
import plotly.graph_objects as go
import pytest
from optuna.storages._rdb.models import BaseModel
from optuna_dashboard import save_note, save_plotly_graph_object
from sqlalchemy import TableClause, inspect

from gradstudy.storage.database import Database
from gradstudy.storage.optuna_internals import (
    NOTE_PREFIX,
    NOTE_VERSION,
    PLOT_PREFIX,
    STUDY_ATTRIBUTES,
    SYSTEM_ATTRIBUTES,
    TRIALS,
    USER_ATTRIBUTES,
    constraint_attributes,
    make_proxy_server,
    storage_of,
    study_id_of,
    trial_id_of,
    with_storage,
)
from gradstudy.storage.optuna_storage import OPTUNA_MAKES

ROOT = Path(__file__).parents[2]
PRIVATE = {"_storage", "_study_id", "_trial_id", "_thread_local", "_CONSTRAINTS_KEY"}


@pytest.fixture
def study() -> optuna.Study:
    return optuna.create_study()


@pytest.mark.parametrize("table", [TRIALS, STUDY_ATTRIBUTES, SYSTEM_ATTRIBUTES, USER_ATTRIBUTES], ids=str)
def test_optunas_tables_have_the_columns_that_are_used(db: Database, table: TableClause) -> None:
    columns = {column["name"] for column in inspect(db.engine).get_columns(table.name)}
    assert columns >= set(table.columns.keys())


def test_every_table_that_optuna_makes_is_known() -> None:
    assert {*BaseModel.metadata.tables, "alembic_version"} == OPTUNA_MAKES


def test_a_study_in_a_database_is_found_by_its_storage_and_number(db: Database, study_id: int) -> None:
    study = optuna.load_study(study_name="s", storage=db.optuna_storage)
    assert study_id_of(study) == study_id
    assert storage_of(study).get_study_name_from_id(study_id) == "s"


def test_a_trial_is_found_by_its_number_in_the_storage(study: optuna.Study) -> None:
    trials = [study.ask(), study.ask()]
    assert [storage_of(study).get_trial(trial_id_of(trial)).number for trial in trials] == [0, 1]
    assert [trial_id_of(trial) for trial in study.trials] == [trial_id_of(trial) for trial in trials]


def test_a_study_with_its_storage_anew_sees_the_trials_that_came_meanwhile(study: optuna.Study) -> None:
    def seen(one: optuna.Study) -> int:
        return len(one._get_trials(deepcopy=False, use_cache=True))

    study.ask()
    before = seen(study)
    storage_of(study).create_new_trial(study_id_of(study))
    assert (before, seen(study), seen(with_storage(study, storage_of(study)))) == (1, 1, 2)


def test_a_constraint_that_optuna_sets_is_where_ours_is_written(study: optuna.Study) -> None:
    trial = study.ask()
    trial.set_constraint("divergence", 0.5)
    kept = storage_of(study).get_trial_system_attrs(trial_id_of(trial))
    ours = constraint_attributes("divergence", 0.5)
    assert kept
    assert {name: ours[name] for name in kept} == kept


def test_the_dashboard_keeps_a_note_and_a_plot_under_the_names_that_are_replaced(study: optuna.Study) -> None:
    save_note(study, "a note")
    noted = set(storage_of(study).get_study_system_attrs(study_id_of(study)))
    assert NOTE_VERSION in noted
    assert all(name.startswith(NOTE_PREFIX) for name in noted)
    save_plotly_graph_object(study, go.Figure(), graph_object_id="mine")
    plotted = set(storage_of(study).get_study_system_attrs(study_id_of(study))) - noted
    assert plotted
    assert all(name.startswith(f"{PLOT_PREFIX}mine") for name in plotted)


def test_a_proxy_server_starts_and_answers(study: optuna.Study) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    with ThreadPoolExecutor(1) as threads:
        server = make_proxy_server(storage_of(study), "127.0.0.1", port, threads)
        server.start()
        with pytest.warns(optuna.exceptions.ExperimentalWarning):
            proxy = optuna.storages.GrpcStorageProxy(host="127.0.0.1", port=port)
        proxy.wait_server_ready(20)
        assert proxy.get_study_name_from_id(study_id_of(study)) == study.study_name
        proxy.close()
        server.stop(None).wait()


def test_nothing_else_touches_what_is_not_public() -> None:
    found = []
    for room in ("models", "storage", "study", "scripts"):
        for path in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ImportFrom):
                    of_optuna = (node.module or "").split(".")[0] in ("optuna", "optuna_dashboard")
                    names = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
                    private = of_optuna and any(name.startswith("_") for name in names)
                else:
                    private = isinstance(node, ast.Attribute) and node.attr in PRIVATE and not _is_own(node)
                if private and path.name != "optuna_internals.py":
                    found.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert found == []


def _is_own(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id == "self"
