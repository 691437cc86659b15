"""Which code a task may name, and where it is taken from."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gradstudy.models.tasks.errors import TaskError
from gradstudy.models.user_module.importing import import_function
from gradstudy.models.user_module.trusted import trusting_only

MINE = """
from functools import partial
from os import system
from numpy import load
from pathlib import Path
Path(__file__).with_suffix(".imported").touch()
def problem():
    return {value!r}
with_option = partial(problem)
shell = partial(system)
"""


@pytest.fixture(autouse=True)
def nothing_stays_imported() -> Iterator[None]:
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def project(place: Path, value: str = "") -> Path:
    place.mkdir(parents=True)
    (place / "mine_of_trust.py").write_text(MINE.format(value=value))
    return place


def was_imported(place: Path) -> bool:
    return (place / "mine_of_trust.imported").exists()


@pytest.mark.parametrize("task", ["module:os:system", "module:subprocess:run", "module:mine_of_trust:system",
                                  "module:mine_of_trust:shell", "module:builtins:eval"])  # fmt: skip
def test_python_itself_is_no_model_for_anybody(tmp_path: Path, task: str) -> None:
    folder = project(tmp_path / "a")
    with pytest.raises(TaskError, match="is Python's own, not a model's"):
        import_function(task, [str(folder)])


def test_a_function_with_an_option_bound_is_one_of_the_users(tmp_path: Path) -> None:
    folder = project(tmp_path / "a")
    assert import_function("module:mine_of_trust:with_option", [str(folder)])[1] == str(folder)


def test_nothing_is_imported_from_a_folder_that_was_not_given(tmp_path: Path) -> None:
    named, given = project(tmp_path / "named"), tmp_path / "given"
    given.mkdir()
    for allowed in ([], [str(given)], ["numpy"]):
        with trusting_only(allowed), pytest.raises(TaskError, match="--allow-modules names"):
            import_function("module:mine_of_trust:problem", [str(named)])
    assert not was_imported(named)


def test_a_link_does_not_lead_out_of_a_folder(tmp_path: Path) -> None:
    outside, given = project(tmp_path / "outside"), tmp_path / "given"
    given.mkdir()
    (given / "link").symlink_to(outside)
    with trusting_only([str(given)]), pytest.raises(TaskError, match="--allow-modules names"):
        import_function("module:mine_of_trust:problem", [str(given / "link")])
    assert not was_imported(outside)


def test_a_folder_that_was_given_is_looked_into_with_those_below_it(tmp_path: Path) -> None:
    below = project(tmp_path / "given" / "below")
    task = "module:mine_of_trust:problem"
    with trusting_only([str(tmp_path / "given")]):
        assert import_function(task, [str(below)])[1] == str(below)
    with trusting_only([str(below)]):
        assert import_function(task, [str(tmp_path / "of another machine")])[1] == str(below)


def test_what_a_given_folder_only_imports_is_not_taken(tmp_path: Path) -> None:
    folder = project(tmp_path / "given")
    task = "module:mine_of_trust:load"
    with trusting_only([str(folder)]), pytest.raises(TaskError, match="its function comes from numpy"):
        import_function(task, [str(folder)])
    with trusting_only([str(folder), "numpy"]):
        import_function(task, [str(folder)])
    with trusting_only([str(folder), task]):
        import_function(task, [str(folder)])


def test_an_installed_package_is_given_by_its_name(tmp_path: Path) -> None:
    task = "module:plotly.graph_objects:Figure"
    with trusting_only([str(tmp_path)]), pytest.raises(TaskError, match="'plotly' is an installed module or none"):
        import_function(task, [])
    with trusting_only(["plotly"]):
        assert import_function(task, [])[1] is None


@pytest.mark.parametrize("given", ["no_such_package", "nowhere/at/all", "", "a.b"])
def test_what_is_neither_folder_nor_package_is_said(given: str) -> None:
    with pytest.raises(TaskError, match="--allow-modules takes a folder, or the name of an installed package"):
        trusting_only([given]).__enter__()


def test_two_folders_with_a_module_of_one_name_are_told_apart(tmp_path: Path) -> None:
    one, two = project(tmp_path / "one", "one"), project(tmp_path / "two", "two")
    found = [import_function("module:mine_of_trust:problem", [str(folder)])[0]() for folder in (one, two, one)]
    assert found == ["one", "two", "one"]
