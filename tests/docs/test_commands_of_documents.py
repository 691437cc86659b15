import ast
import gzip
import importlib
import importlib.util
import re
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path

import plotly
import pytest
import torch
import typer
from documents import ELIDED, PAGES, ROOT, Block, Command, blocks, commands
from typer.testing import CliRunner

from gradstudy.scripts.exit_codes import DIVERGED
from gradstudy.scripts.main import app
from gradstudy.study.spec.study_spec import parse_spec

PROGRAM = typer.main.get_command(app)
OF_CONSOLES = [
    pytest.param(command, id=f"{page.name}:{block.line}:{' '.join(command.words[:3])}")
    for page in PAGES
    for block in blocks(page)
    if block.language == "console"
    for command in commands(block)
]
OF_PYTHON = [
    pytest.param(block.text, id=f"{page.name}:{block.line}")
    for page in PAGES
    for block in blocks(page)
    if block.language == "python"
]
RUN = [pytest.param(page, id=page.name) for page in PAGES if any(block.is_run for block in blocks(page))]
PERSONS_FOLDER = "/home/me/data"
"""What the pages call the folder that a person works in."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder to work in with the files that the pages speak of; studies of a second need one worker and thread."""
    stocks = Path(plotly.__file__).parent / "package_data" / "datasets" / "stocks.csv.gz"
    (tmp_path / "stocks.csv").write_bytes(gzip.decompress(stocks.read_bytes()))
    shutil.copy(ROOT / "tests" / "models" / "data" / "iso3166.tab", tmp_path / "countries.tsv")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setenv("GRADSTUDY_WORKERS", "1")
    monkeypatch.delenv("GRADSTUDY_STORAGE", raising=False)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield tmp_path
    torch.set_num_threads(threads)


def test_blocks_of_commands_are_of_a_language_that_is_tested() -> None:
    tested = {"console", "python", "toml", "text"}
    assert {(page.name, block.line): block.language for page in PAGES for block in blocks(page)
            if block.language not in tested} == {}  # fmt: skip
    assert len(OF_CONSOLES) > 30


@pytest.mark.parametrize("command", OF_CONSOLES)
def test_every_command_exists_with_its_options(command: Command) -> None:
    program, *words = command.words
    if program == "gradstudy":
        with PROGRAM.make_context("gradstudy", list(words)) as context:
            name, verb, rest = PROGRAM.resolve_command(context, words)
            verb.make_context(name, rest, parent=context)
    elif program == "make":
        assert re.search(rf"^{words[0]}:.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    elif program == "pip":
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        wanted = re.findall(r"\[(.*)\]", " ".join(words))
        assert {extra for each in wanted for extra in each.split(",")} <= set(extras)
        assert wanted or words[0] == "install"
    elif program.startswith(".venv/bin/"):
        script = next((word for word in words if "/" in word), "pyproject.toml")
        assert (ROOT / script).exists()
    else:
        assert program in {"curl", "export", "git", "python"}


@pytest.mark.parametrize("text", OF_PYTHON)
def test_python_compiles_and_imports_what_is_there(text: str) -> None:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("gradstudy"):
            module = importlib.import_module(str(node.module))
            assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []
        elif isinstance(node, ast.Import):
            assert [alias.name for alias in node.names if importlib.util.find_spec(alias.name) is None] == []


def test_specs_in_files_are_accepted() -> None:
    texts = [block.text for page in PAGES for block in blocks(page) if block.language == "toml"]
    assert [parse_spec(tomllib.loads(text)).name for text in texts] == ["from-a-file"]


@pytest.mark.slow
@pytest.mark.parametrize("page", RUN)
def test_what_a_page_marks_runs_in_order(page: Path, folder: Path) -> None:
    for block in blocks(page):
        if block.file is not None:
            (folder / block.file).write_text(block.text)
        elif block.is_run and block.language == "python":
            exec(compile(block.text, f"{page.name}:{block.line}", "exec"), {})
        elif block.is_run:
            for command in commands(block):
                _run(command, block, folder)


def _run(command: Command, block: Block, folder: Path) -> None:
    """Run a command and compare its exit code, and where the page wants it what it prints, with what is shown."""
    program, *words = command.words
    if program != "gradstudy":
        return
    flags = block.flags if words[0] in ("launch", "probe") else []
    result = CliRunner().invoke(app, [*words, *flags])
    is_error = any(line.startswith("gradstudy: ") for line in command.shown)
    assert (result.exit_code not in (0, DIVERGED)) == is_error, result.output
    if block.is_compared:
        printed = result.output.replace(str(folder), PERSONS_FOLDER).splitlines()
        assert [line for line in command.shown if line != ELIDED and line not in printed] == [], result.output
