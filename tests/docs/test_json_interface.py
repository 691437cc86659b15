"""The page on the JSON interface: what it asks a server is asked, and what it shows is what there is."""

import re
import shutil
import subprocess
from collections.abc import Iterator

import pytest
from api_server import ApiServer, api_server
from documents import ROOT

from gradstudy.scripts.web.api.openapi import WRONG, openapi

PAGE = (ROOT / "docs" / "json-interface.md").read_text()
ASKING = re.compile(r"<!-- asks a server -->\n```(?P<language>\w+)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
SHOWN = "http://127.0.0.1:8080"
PASSWORD = "correct-horse"


@pytest.fixture
def server(sqlite_url: str) -> Iterator[ApiServer]:
    with api_server(sqlite_url, password=PASSWORD) as server:
        yield server


def asked(language: str, server: ApiServer) -> str:
    [text] = [found["text"] for found in ASKING.finditer(PAGE) if found["language"] == language]
    return text.replace(SHOWN, server.url)


def test_what_python_asks_is_answered(server: ApiServer, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(asked("python", server), "json-interface.md", "exec"), {})
    assert capsys.readouterr().out.startswith("True {'trained': 0")
    assert server.ask("GET", "/studies/mine").json["is_open"] is False


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_what_curl_asks_is_answered(server: ApiServer) -> None:
    script = asked("console", server)
    commands = re.findall(r"^\$ (curl (?:.*\\\n)*.*)$", script, re.MULTILINE)
    told = []
    for command in commands:
        quiet = command.replace("curl ", "curl --silent --show-error --noproxy '*' ", 1)
        done = subprocess.run(["bash", "-c", quiet], capture_output=True, text=True, check=True)
        told.append(done.stdout)
    assert len(told) == 5
    assert '"is_new": true' in told[0]
    assert told[2].startswith("# first")
    assert told[-1] == script.rstrip().splitlines()[-1]


def test_every_path_and_status_stands_on_the_page() -> None:
    paths = {path.replace("{name}", "NAME") for path in openapi()["paths"]}
    rows = set(re.findall(r"^\| `[A-Z]+ (/api/\S+)`", PAGE, re.MULTILINE))
    assert rows == paths | {"/api/v1/openapi.json"}
    statuses = {int(each) for row in re.findall(r"^\| ([\d, ]+) \|", PAGE, re.MULTILINE) for each in row.split(",")}
    assert statuses == {status.value for status in WRONG} | {405}
