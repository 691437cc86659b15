"""``gradstudy report --format tensorboard`` and its like."""

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from gradstudy.storage.database import Database

Run = Callable[..., Result]


@pytest.mark.usefixtures("finished")
def test_runs_are_written_to_a_folder_that_is_empty(gradstudy: Run, folder: Path) -> None:
    result = gradstudy("report", "s", "--format", "tensorboard", "--output", "here/there")
    assert result.exit_code == 0
    assert result.stdout == "8 runs written to here/there; now: tensorboard --logdir here/there\n"
    assert len([path for path in (folder / "here" / "there").iterdir() if path.is_dir()]) == 8
    again = gradstudy("report", "s", "--format", "tensorboard", "--output", "here/there")
    assert (again.exit_code, again.stdout) == (2, "")
    assert "here/there is there already, and not an empty folder; name another one with --output" in again.stderr


@pytest.mark.usefixtures("finished")
def test_what_was_written_goes_where_writing_fails(
    gradstudy: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*given: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("torch.utils.tensorboard.SummaryWriter.add_scalar", interrupt)
    before = set(folder.iterdir())
    assert gradstudy("report", "s", "--format", "tensorboard").exit_code == 130
    assert set(folder.iterdir()) == before


def test_only_one_study_is_written(gradstudy: Run, finished: Database) -> None:
    result = gradstudy("report", "s", "s", "--format", "tensorboard")
    assert result.exit_code == 2
    assert "--format tensorboard writes the trials of one study, but got 2: s, s" in result.stderr


@pytest.mark.parametrize("form", ["mlflow", "tensorboard", "wandb"])
@pytest.mark.usefixtures("finished")
def test_a_package_that_is_missing_is_named(form: str, gradstudy: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gradstudy.scripts.errors.find_spec", lambda name: None)
    result = gradstudy("report", "s", "--format", form)
    assert (result.exit_code, result.stdout) == (2, "")
    assert f'--format {form} needs {form}; install it with: pip install "gradstudy[{form}]"' in result.stderr
