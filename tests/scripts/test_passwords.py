from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import inspect, make_url
from typer.testing import Result

from gradstudy.storage.database import Database

GOOD = (("status", "s"), ("report", "s"), ("query", "SELECT * FROM trial_result"), ("replay", "s", "0"))
BAD = (("launch", "s", "--trials=9"), ("--debug", "status", "nosuch"), ("query", "SELECT nosuch"))


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["postgresql", "mariadb"])
def test_no_output_file_or_table_shows_the_password(
    request: pytest.FixtureRequest,
    backend: str,
    password: str,
    flags: list[str],
    gradstudy: Callable[..., Result],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = make_url(request.getfixturevalue(f"guarded_{backend}_url")).set(password=password)
    monkeypatch.setenv("GRADSTUDY_STORAGE", url.render_as_string(hide_password=False))
    good = [gradstudy("launch", "s", *flags, "--workers=2"), *(gradstudy(*words) for words in GOOD)]
    bad = [gradstudy(*words) for words in BAD]
    assert [result.exit_code for result in good] == [0] * len(good)
    assert 0 not in [result.exit_code for result in bad]
    assert "guarded:***@" in good[0].output
    files = [file.read_bytes().decode(errors="replace") for file in folder.rglob("*") if file.is_file()]
    with Database.open(url.render_as_string(hide_password=False)) as db, db.engine.connect() as connection:
        names = inspect(connection).get_table_names()
        rows = [str(connection.exec_driver_sql(f"SELECT * FROM {name}").all()) for name in names]
    assert len(rows) > 15
    quoted = url.render_as_string(hide_password=False).partition("guarded:")[2].partition("@")[0]
    shown = "\n".join([*(result.output for result in good + bad), *files, *rows])
    assert [secret for secret in (password, quoted) if secret in shown] == []
