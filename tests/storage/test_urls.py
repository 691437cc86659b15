import pytest

from gradstudy.storage.errors import UrlError
from gradstudy.storage.urls import display, parse


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("results.db", "'results.db' is not a database URL; for an SQLite file write sqlite:///results.db"),
        ("/tmp/a.db", "'/tmp/a.db' is not a database URL; for an SQLite file write sqlite:////tmp/a.db"),
        ("", "the database URL is empty; accepted are sqlite:///FILE"),
        ("oracle://u:secret@h/d", "'oracle' databases are not supported; accepted are sqlite:///FILE"),
        ("nosuch://u:secret@h/d", "'nosuch' databases are not supported"),
        ("u:secret@h/d", "this is not a database URL (not shown: it may hold a password)"),
        ("postgresql+nosuch://u:secret@h/d", "gradstudy uses one driver for each database; write postgresql://"),
        ("postgresql+pg8000://u:secret@h/d", "gradstudy uses one driver for each database; write postgresql://"),
        ("sqlite://", "sqlite:// is not a file, and workers share a file; write sqlite:///FILE"),
        ("sqlite:///:memory:", "sqlite:///:memory: is not a file"),
    ],
)
def test_a_bad_url_is_explained_without_its_password(given: str, sentence: str) -> None:
    with pytest.raises(UrlError) as caught:
        parse(given)
    assert str(caught.value).startswith(sentence)
    assert "secret" not in str(caught.value)


def test_a_url_gets_the_driver_that_is_installed() -> None:
    assert parse("postgresql://u@h/d").drivername == "postgresql+psycopg"
    assert parse("mysql://u@h/d").drivername == "mysql+pymysql"


def test_passwords_are_hidden_wherever_they_are() -> None:
    url = parse("postgresql://u:secret@h/d?sslpassword=secret&application_name=me")
    assert "secret" not in display(url)
    assert "application_name=me" in display(url)


@pytest.mark.parametrize("given", ["sqlite:///größe/my study.db", "sqlite:///a%20b%23.db"])
def test_what_is_shown_names_the_same_file(given: str) -> None:
    assert parse(display(parse(given))) == parse(given)
    assert display(parse("sqlite:///größe/my study.db")) == "sqlite:///größe/my study.db"


@pytest.mark.parametrize(
    "given",
    [
        "postgresql://anna:s3cr%40t@h:5432/d?sslmode=require&application_name=me",
        "mysql://anna:a%2Fb@h/d?charset=utf8mb4&connect_timeout=3",
        "postgresql+psycopg://postgres@/gradstudy?host=%2Fsrv%2Fgradstudy-data",
        "postgresql://h/d?host=a:5432&host=b:5433",
        "postgresql://anna@[::1]:5432/d",
        "postgresql://anna@bücher.example/d",
        "mariadb+pymysql://root@127.0.0.1:3306/d",
        "sqlite+pysqlite:///x.db",
    ],
)
def test_a_good_url_is_taken(given: str) -> None:
    assert "s3cr" not in display(parse(given))
