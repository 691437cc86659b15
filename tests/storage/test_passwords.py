"""Passwords are taken from where people keep them, and shown nowhere."""

import traceback
from pathlib import Path

import pytest
from sqlalchemy import make_url

from gradstudy.storage.database import Database
from gradstudy.storage.errors import UnavailableError
from gradstudy.storage.studies import Versions, create_study

UNUSUAL = "tr0ub4dor"


@pytest.fixture(params=["postgresql", "mariadb"])
def guarded_url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(f"guarded_{request.param}_url"))


def test_a_missing_or_wrong_password_is_refused_and_not_shown(guarded_url: str) -> None:
    with pytest.raises(UnavailableError, match="cannot be used: "):
        Database.open(guarded_url, create=True)
    wrong = make_url(guarded_url).set(password=UNUSUAL).render_as_string(hide_password=False)
    with pytest.raises(UnavailableError, match=r"//guarded:\*\*\*@.* cannot be used: ") as caught:
        Database.open(wrong, create=True)
    assert UNUSUAL not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("url", [f"postgresql://anna:{UNUSUAL}@127.0.0.1:1/d", f"mysql://anna:{UNUSUAL}@127.0.0.1:1/d"])
@pytest.mark.parametrize("create", [True, False])
def test_a_server_that_does_not_answer_is_named_without_the_password(url: str, create: bool) -> None:
    with pytest.raises(UnavailableError) as caught:
        Database.open(url, create=create)
    assert "//anna:***@127.0.0.1:1/d cannot be used: " in str(caught.value)
    assert UNUSUAL not in "".join(traceback.format_exception(caught.value))


def test_a_password_in_a_file_is_found(
    guarded_postgresql_url: str, password: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "pgpass"
    file.write_text(f"*:*:*:guarded:{password}\n")
    file.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(file))
    open_and_use(guarded_postgresql_url)


def test_a_password_in_the_environment_is_found(
    guarded_postgresql_url: str, password: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", password)
    open_and_use(guarded_postgresql_url)


def open_and_use(url: str) -> None:
    with Database.open(url, create=True) as db:
        study = create_study(db, "s", {}, 1, Versions(gradstudy="0", optuna="5", torch="2"))
        assert db.optuna_storage.get_study_id_from_name("s") == study.study_id
