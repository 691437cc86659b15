import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import tables
from documents import PAGES, ROOT

LONGEST_README = 150
AT_THE_ROOT = (ROOT / "README.md", ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md")
ROOMS = ("models", "storage", "study", "scripts", "tests", "docs")
COMMANDS = (ROOT / "docs" / "commands.md").read_text()


@pytest.mark.parametrize("page", tables.PAGES, ids=lambda page: page.name)
def test_tables_are_those_of_the_code(page: Path) -> None:
    text = page.read_text()
    assert tables.with_tables(text) == text, "run: make docs"


@pytest.mark.parametrize("verb", list(tables.COMMAND.commands))
def test_every_verb_and_option_is_documented(verb: str) -> None:
    section = re.search(rf"^## {verb}\n.*?(?=^## |\Z)", COMMANDS, re.DOTALL | re.MULTILINE)
    assert section is not None
    parameters = [each for each in tables.COMMAND.commands[verb].params if not each.hidden]
    spellings = [opt for each in parameters for opt in [*each.opts, *each.secondary_opts] if opt.startswith("-")]
    assert [option for option in spellings if not re.search(rf"[`>, ]{option}\b", section[0])] == []


def test_every_field_of_a_spec_says_what_it_means() -> None:
    rows = tables.spec().splitlines()[2:]
    assert len(rows) > 30
    assert [row for row in rows if row.endswith("|  |")] == []


def test_a_pipe_in_a_cell_does_not_end_it() -> None:
    table = tables.markdown_table(("a|b",), [(tables.code("x|y<z"),)])
    assert table == "| a&#124;b |\n| --- |\n| <code>x&#124;y&lt;z</code> |\n"


def test_the_pages_are_built_without_a_broken_link(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(tmp_path / "site")]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    names = {page.stem for page in PAGES if page.parent.name == "docs"} - {"index"}
    assert {path.parent.name for path in (tmp_path / "site").glob("*/index.html")} == names
    fetched = [
        address
        for path in (tmp_path / "site").rglob("*.html")
        for address in re.findall(r'<(?:script|link|img)[^>]*(?:src|href)="(https?:[^"]*)"', path.read_text())
    ]
    assert fetched == []  # pages look the same without the internet


@pytest.mark.parametrize("page", AT_THE_ROOT, ids=lambda page: page.name)
def test_links_at_the_root_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
    assert [link for link in links if not (ROOT / link).exists()] == []


@pytest.mark.parametrize("page", [*AT_THE_ROOT, ROOT / "docs" / "inside.md"], ids=lambda page: page.name)
def test_files_that_are_named_exist(page: Path) -> None:
    named = re.findall(rf"`((?:{'|'.join(ROOMS)})/[\w./]*)`", page.read_text())
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= LONGEST_README


def test_make_help_lists_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert phony is not None
    shown = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    lines = [line.split(maxsplit=2) for line in shown.splitlines()]
    assert [name for _, name, _ in lines] == phony[1].split()
