import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pytest
import torch
from one_trial import claim_trial
from silent import Silent

from gradstudy.models.tasks.pairs import TokenPairs
from gradstudy.storage.claims import Claim
from gradstudy.storage.database import Database
from gradstudy.storage.workers import register_worker
from gradstudy.study.launch import create_or_resume
from gradstudy.study.spec.study_spec import StudySpec
from gradstudy.study.training.data import load_data
from gradstudy.study.worker.job import Job
from gradstudy.study.worker.process_space import process_space
from gradstudy.study.worker.worker import Worker

SPEC = StudySpec.model_validate(
    {
        "name": "s",
        "task": "copy",
        "task_options": {"max_length": 4, "examples": 200},
        "model": {"hidden_size": 8},
        "steps": 30,
        "batch_size": 8,
        "trials": 12,
        "sampler": "qmc",  # whose settings do not depend on when others end
        # At these thresholds no run is chaotic: one that was rounded otherwise differs by less than 1e-6, and none of
        # the outcomes is that near to another one.
        "space": {
            "strategies": ["none", "norm", "value"],
            "learning_rate": [0.001, 300],
            "thresholds": {"norm": [0.02, 0.05]},
        },
    }
)


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Small products are slower on two threads, and test processes run side by side."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def spec() -> StudySpec:
    """A study of 12 trials that takes two seconds and has every kind of outcome."""
    return SPEC


@pytest.fixture(scope="session")
def data(spec: StudySpec) -> TokenPairs:
    return load_data(spec)


@pytest.fixture(scope="session")
def work(data: TokenPairs) -> Callable[..., None]:
    """Let one worker of this process run a study until it is done or stopped."""

    def run(db: Database, spec: StudySpec = SPEC, *, slots: int = 4, **given: Any) -> None:
        stop = given.pop("stop", threading.Event())
        listener = given.pop("listener", Silent())
        record = create_or_resume(db, spec)
        Worker(Job(db, record, spec, data), slots=slots, listener=listener, **given).run(stop)

    return run


@pytest.fixture(scope="session")
def empty_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("empty") / "empty.db"
    Database.open(f"sqlite:///{path}", create=True).close()
    return path


@pytest.fixture(scope="session")
def finished_file(empty_file: Path, work: Callable[..., None]) -> Path:
    path = Path(shutil.copy(empty_file, empty_file.with_name("finished.db")))
    with Database.open(f"sqlite:///{path}") as db:
        work(db)
    return path


@pytest.fixture
def new_db(empty_file: Path, tmp_path: Path) -> Iterator[Callable[[], Database]]:
    """Open further databases without studies."""
    opened: list[Database] = []

    def open_one() -> Database:
        path = shutil.copy(empty_file, tmp_path / f"{len(opened)}.db")
        opened.append(Database.open(f"sqlite:///{path}"))
        return opened[-1]

    yield open_one
    for db in opened:
        db.close()


@pytest.fixture
def db(new_db: Callable[[], Database]) -> Database:
    return new_db()


@pytest.fixture
def finished(finished_file: Path, tmp_path: Path) -> Iterator[Database]:
    """A database of its own with the study that has run."""
    with Database.open(f"sqlite:///{shutil.copy(finished_file, tmp_path / 'finished.db')}") as database:
        yield database


@pytest.fixture
def optuna_trials() -> Callable[[Database], list[optuna.trial.FrozenTrial]]:
    """What Optuna holds of the study."""
    return lambda db: optuna.load_study(study_name="s", storage=db.optuna_storage).trials


@pytest.fixture
def states(optuna_trials: Callable[[Database], list[Any]]) -> Callable[[Database], list[str]]:
    """Optuna's states of the study's trials, by number."""
    return lambda db: [trial.state.name for trial in optuna_trials(db)]


@pytest.fixture
def execute() -> Callable[..., list[Any]]:
    """Run statements of SQL; the rows of the last one, if it gives any."""

    def run(db: Database, *statements: str) -> list[Any]:
        with db.engine.begin() as connection:
            results = [connection.exec_driver_sql(statement) for statement in statements]
            return [tuple(row) for row in results[-1]] if results[-1].returns_rows else []

    return run


@pytest.fixture
def claim_as(db: Database, spec: StudySpec) -> Callable[[int], Claim]:
    """Claim the next trial of the study for a process of this machine."""

    def claim(pid: int) -> Claim:
        worker = register_worker(db.engine, socket.gethostname(), pid, "cpu", process_space())
        claimed = claim_trial(db.engine, create_or_resume(db, spec), worker, int)
        assert claimed is not None
        return claimed

    return claim


@pytest.fixture
def dead_pid() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


@pytest.fixture
def same_results() -> Callable[..., None]:
    """Assert that two frames of ``trial_result`` hold the same trials."""

    def compare(left: pd.DataFrame, right: pd.DataFrame, rtol: float) -> None:
        exact = ["number", "ordinal", "cell", "strategy", "threshold", "learning_rate", "seed", "outcome", "reason"]
        exact += ["diverged_at_step", "steps"]
        pd.testing.assert_frame_equal(left[exact], right[exact])
        close = ["initial_loss", "final_loss", "validation_loss", "objective", "grad_norm_p50", "clipped_fraction"]
        pd.testing.assert_frame_equal(left[close], right[close], rtol=rtol)

    return compare
