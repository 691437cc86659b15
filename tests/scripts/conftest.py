import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner, Result

from gradstudy.scripts.exit_codes import DEBUG_VARIABLE
from gradstudy.scripts.main import app
from gradstudy.storage.database import Database

FLAGS = (
    "--task=copy",
    "--task-option=max_length=4",
    "--task-option=examples=200",
    "--hidden=8",
    "--steps=20",
    "--batch-size=8",
    "--trials=8",
    "--strategies=none,norm",
    "--lr=0.01:1000",
)
"""A study that takes a second, and none of whose runs is chaotic: however it is rounded, it differs by about 1e-6."""


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Small products are slower on two threads, and test processes run side by side."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def one_worker() -> Iterator[None]:
    """Studies of a second do not need processes of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADSTUDY_WORKERS", "1")
        yield


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, a wide terminal, and nothing from the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setenv(DEBUG_VARIABLE, "")
    monkeypatch.delenv("GRADSTUDY_STORAGE", raising=False)
    return tmp_path


@pytest.fixture(scope="session")
def flags() -> list[str]:
    return list(FLAGS)


@pytest.fixture(scope="session")
def gradstudy() -> Callable[..., Result]:
    """Run a command line in this process."""

    def run(*words: str, answer: str | None = None) -> Result:
        return CliRunner().invoke(app, list(words), input=answer)

    return run


@pytest.fixture(scope="session")
def finished_file(tmp_path_factory: pytest.TempPathFactory, gradstudy: Callable[..., Result]) -> Path:
    path = tmp_path_factory.mktemp("finished") / "gradstudy.db"
    result = gradstudy("launch", "s", *FLAGS, "--storage", f"sqlite:///{path}")
    assert result.exit_code == 0, result.output
    return path


@pytest.fixture
def finished(finished_file: Path, folder: Path) -> Iterator[Database]:
    """The study ``s``, which has run, in the default database of the folder."""
    shutil.copy(finished_file, folder / "gradstudy.db")
    with Database.open("sqlite:///gradstudy.db") as database:
        yield database


@pytest.fixture
def contents(folder: Path) -> Callable[[], dict[str, bytes]]:
    """Every file below the folder."""
    return lambda: {str(file): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.fixture
def read_only_folder(folder: Path) -> Iterator[Path]:
    """A folder that this process cannot write to, even as root; pytest's own are closed to all but the owner."""
    user = os.geteuid()
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        path.chmod(0o555)
        if user == 0:
            os.seteuid(65534)
        yield path
        os.seteuid(user)
        path.chmod(0o755)
