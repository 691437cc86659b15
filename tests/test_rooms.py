"""The rooms of the house: imports point one way, nothing goes in a circle, no room is crowded."""

import ast
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HOUSE = ("models", "storage", "study", "scripts")
ORDER = {
    "models": ("models",),
    "storage": ("storage",),
    "study": (
        *(
            "errors",
            "wording",
            "background",
            "divergence_rule",
            "divergence",
            "patience",
            "spec",
            "statistics",
            "frontier",
            "worth",
        ),
        *("literature", "search", "training", "launch", "worker", "answer"),
        *("horizon", "scaling", "report", "integrations", "diagnosis", "opened_study"),
    ),
    "scripts": (
        *("printable", "errors", "password_file", "options", "given_options", "exit_codes", "spec_input", "spec_flags"),
        *("output", "web", "client", "server_options", "running", "verbs", "main"),
    ),
}
"""From the ground up: a room imports those before it. ``models`` and ``storage`` do not know each other."""
BELOW = {"models": set(), "storage": set(), "study": {"models", "storage"}, "scripts": {"models", "storage", "study"}}
LARGEST_ROOM = 15
LONGEST_FILE = 300


@cache
def modules() -> dict[str, Path]:
    """Every module by its dotted name below ``gradstudy``."""
    paths = (path for room in HOUSE for path in (ROOT / room).rglob("*.py"))
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}


@cache
def imports() -> dict[str, set[str]]:
    """What each module imports of gradstudy, wherever in the file it does so."""
    found = {}
    for name, path in modules().items():
        wanted: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("gradstudy."):
                module = str(node.module).removeprefix("gradstudy.")
                wanted |= {each if (each := f"{module}.{alias.name}") in modules() else module for alias in node.names}
            elif isinstance(node, ast.Import):
                wanted |= {alias.name.removeprefix("gradstudy.") for alias in node.names if "gradstudy." in alias.name}
        assert wanted <= set(modules()), f"{name} imports what is not there: {wanted - set(modules())}"
        found[name] = wanted - {name}
    return found


def test_no_file_imports_itself_by_way_of_others() -> None:
    packages = {name for name, path in modules().items() if path.name == "__init__.py"}
    graph = {name: wanted - packages for name, wanted in imports().items() if name not in packages}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"a circle: {' <- '.join(error.args[1])}")


def test_every_import_points_down() -> None:
    wrong = []
    for name, wanted in imports().items():
        story, _, rest = name.partition(".")
        room = rest.partition(".")[0]
        for other in wanted:
            other_story, _, other_rest = other.partition(".")
            other_room = other_rest.partition(".")[0]
            if other_story != story:
                wrong += [f"{name} -> {other}"] if other_story not in BELOW[story] else []
            elif story in ("study", "scripts") and room and other_room:
                order = ORDER[story]
                wrong += [f"{name} -> {other}"] if order.index(other_room) > order.index(room) else []
    assert wrong == []


@pytest.mark.parametrize("story", ["study", "scripts"])
def test_every_room_has_its_place_in_the_order(story: str) -> None:
    rooms = {name.split(".")[1] for name in modules() if name.startswith(f"{story}.")}
    assert rooms == set(ORDER[story])


def test_models_know_no_search_and_storage_no_training() -> None:
    def packages(story: str) -> set[str]:
        found = set()
        for name, path in modules().items():
            if name.split(".")[0] == story:
                for node in ast.walk(ast.parse(path.read_text())):
                    if isinstance(node, ast.Import):
                        found |= {alias.name.partition(".")[0] for alias in node.names}
                    elif isinstance(node, ast.ImportFrom) and node.module:
                        found.add(node.module.partition(".")[0])
        return found

    assert packages("models").isdisjoint({"optuna", "sqlalchemy", "alembic"})
    assert packages("storage").isdisjoint({"torch", "numba"})


def test_no_room_is_crowded_and_no_file_is_long() -> None:
    folders: dict[Path, int] = {}
    for path in (path for path in modules().values() if path.name != "__init__.py"):
        folders[path.parent] = folders.get(path.parent, 0) + 1
    crowded = {str(path.relative_to(ROOT)): count for path, count in folders.items() if count > LARGEST_ROOM}
    assert set(crowded) <= {"models", "storage"}
    lengths = {name: len(path.read_text().splitlines()) for name, path in modules().items()}
    assert {name: lines for name, lines in lengths.items() if lines >= LONGEST_FILE} == {}
