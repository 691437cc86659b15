"""What the documents show: their blocks of code, and the commands in them.

A comment above a block says what a test does with it, and shows nothing on the page:

    <!-- run -->                      run it; its commands must end well
    <!-- run: --trials 8 -->          the same, with these flags added to ``launch`` and ``probe``, so that it is quick
    <!-- run and compare -->          the same, and what the page shows must be what is printed
    <!-- file: NAME -->               write it to a file that later commands read
"""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))
BLOCK = re.compile(
    r"^(?:<!-- (?P<note>(?:run|file)\b[^\n]*?) -->\n)?```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
PROMPT = "$ "
ELIDED = "..."


@dataclass(frozen=True)
class Block:
    """A fenced block of a page, with what the comment above it says."""

    language: str
    text: str
    note: str
    line: int

    @property
    def is_run(self) -> bool:
        return self.note.startswith("run")

    @property
    def is_compared(self) -> bool:
        return self.note == "run and compare"

    @property
    def file(self) -> str | None:
        return self.note.removeprefix("file: ") if self.note.startswith("file: ") else None

    @property
    def flags(self) -> list[str]:
        return shlex.split(self.note.partition(": ")[2]) if self.is_run else []


@dataclass(frozen=True)
class Command:
    """A command of a block: its words up to a pipe, and the lines that the page shows below it."""

    words: list[str]
    shown: list[str]


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    text = page.read_text()
    return [
        Block(found["language"], found["text"], found["note"] or "", text.count("\n", 0, found.start()) + 1)
        for found in BLOCK.finditer(text)
    ]


def commands(block: Block) -> list[Command]:
    """The commands of a block of console."""
    found: list[Command] = []
    lines = iter(block.text.splitlines())
    for line in lines:
        if not line.startswith(PROMPT):
            found[-1].shown.append(line)
            continue
        typed = line.removeprefix(PROMPT)
        while (words := _words(typed)) is None:
            typed = typed.removesuffix("\\") + "\n" + next(lines)
        found.append(Command(words[: words.index("|")] if "|" in words else words, []))
    return found


def _words(typed: str) -> list[str] | None:
    """The words of a command line; None when it goes on in the next line."""
    if typed.endswith("\\"):
        return None
    try:
        return shlex.split(typed, comments=True)
    except ValueError:  # a quotation that has not ended
        return None
