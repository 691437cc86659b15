import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version

import pytest
from typer.testing import Result

from gradstudy.scripts.main import VERBS

Run = Callable[..., Result]
NAMES = [verb.__name__ for verb in VERBS]

HEAVY_AFTER_HELP = """
import sys
from gradstudy.scripts.main import app
try:
    app(sys.argv[1:])
except SystemExit as exit:
    assert exit.code == 0
print({"torch", "optuna", "pandas", "sqlalchemy", "numpy"} & set(sys.modules), file=sys.stderr)
"""


@pytest.mark.parametrize("verb", NAMES)
def test_every_verb_explains_itself(gradstudy: Run, verb: str) -> None:
    result = gradstudy(verb, "--help")
    assert result.exit_code == 0
    assert f"gradstudy {verb}" in result.stdout or f"{verb} [OPTIONS]" in result.stdout
    assert gradstudy(verb, "-h").stdout == result.stdout


def test_the_overview_lists_every_verb(gradstudy: Run) -> None:
    listed = [line.split()[1] for line in gradstudy("--help").stdout.splitlines() if line.startswith("│ ")]
    assert [name for name in listed if name in NAMES] == NAMES


@pytest.mark.parametrize("words", [["--help"], ["launch", "--help"], ["strategies"]])
def test_help_is_quick_because_it_imports_nothing_heavy(words: list[str]) -> None:
    command = [sys.executable, "-c", HEAVY_AFTER_HELP, *words]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "set()\n")


def test_the_version_is_the_installed_one(gradstudy: Run) -> None:
    result = gradstudy("--version")
    assert (result.exit_code, result.stdout) == (0, f"gradstudy {version('gradstudy')}\n")


@pytest.mark.parametrize("words", [["fly"], ["launch"], ["launch", "s", "--fly"], ["launch", "s", "--slots", "0"],
                                   ["replay", "s", "x"], ["query", "SELECT 1", "--format", "xml"]])  # fmt: skip
def test_what_the_command_line_does_not_know_is_wrong_usage(gradstudy: Run, words: list[str]) -> None:
    result = gradstudy(*words)
    assert result.exit_code == 2
    assert "Usage: gradstudy" in result.stderr or "Usage: root" in result.stderr
    assert "Traceback" not in result.output
