from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import Result

from gradstudy.storage.database import Database

Run = Callable[..., Result]


@pytest.fixture
def rows(finished: Database) -> Callable[[], dict[str, int]]:
    """How many rows each table has; who worked and which versions made the tables is kept."""

    def count() -> dict[str, int]:
        with finished.engine.connect() as connection:
            ask: Any = connection.exec_driver_sql
            names = [name for (name,) in ask("SELECT name FROM sqlite_master WHERE type = 'table'")]
            kept = ("gradstudy_worker", "gradstudy_alembic_version", "alembic_version", "version_info", "sqlite_")
            return {name: ask(f"SELECT COUNT(*) FROM {name}").scalar() for name in names if not name.startswith(kept)}

    return count


def test_deleting_a_study_leaves_nothing_of_it(gradstudy: Run, rows: Callable[[], dict[str, int]]) -> None:
    assert sum(count > 0 for count in rows().values()) >= 8
    result = gradstudy("delete", "s", "--yes")
    assert (result.exit_code, result.stdout) == (0, "deleted study s with 8 trials\n")
    assert not any(rows().values())


def test_another_study_stays(gradstudy: Run, flags: list[str], rows: Callable[[], dict[str, int]]) -> None:
    before = rows()
    assert gradstudy("launch", "t", *flags, "--trials", "2").exit_code == 0
    assert rows() != before
    assert gradstudy("delete", "t", "-y").exit_code == 0
    assert rows() == before


@pytest.mark.parametrize("answer", ["n\n", "\n", ""])
def test_deleting_asks_first(gradstudy: Run, rows: Callable[[], dict[str, int]], answer: str) -> None:
    before = rows()
    result = gradstudy("delete", "s", answer=answer)
    assert result.exit_code == 1
    assert "Delete study s with 8 trials from sqlite:///gradstudy.db? [y/N]: " in result.stdout
    assert rows() == before


def test_deleting_takes_yes_for_an_answer(gradstudy: Run, rows: Callable[[], dict[str, int]]) -> None:
    assert gradstudy("delete", "s", answer="y\n").exit_code == 0
    assert not any(rows().values())
