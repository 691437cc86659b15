"""A server's studies in Python, over its JSON interface: needs neither torch nor a database.

client = Client("http://gpu7.lab:8080", password)
client.launch({"name": "mine", "task": "numbers"})
print(client.report("mine")["answer"]["setting"])
"""

import base64
import json
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from http.client import HTTPException
from typing import Any, TypeVar
from urllib.error import HTTPError
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from pydantic import BaseModel, ValidationError

from gradstudy.scripts.errors import NoAnswerError, RefusedError, UsageError
from gradstudy.scripts.web.api.messages import PREFIX, Failure, Form, Launched, Studies, Study, Trials

Message = TypeVar("Message", bound=BaseModel)
SECONDS = 60.0
"""How long an answer may take: a launch reads the study's data, and a report of many trials is computed."""
PAGE = 1000
"""Of trials."""


class Client:
    """A server that was started with ``gradstudy serve`` or ``gradstudy dashboard``.

    Every method raises NoAnswerError where it does not answer, and RefusedError where it refuses.

    Attributes:
        url: of the server, for printing.
    """

    def __init__(self, url: str, password: str | None = None, *, seconds: float = SECONDS) -> None:
        """Prepare to ask; nothing is sent yet.

        Args:
            url: such as ``http://gpu7.lab:8080``; without a password.
            password: of the server, where it has one.
            seconds: how long an answer may take.

        Raises:
            UsageError: this is no URL of a server, or it has a password in it.
        """
        self.url = _checked(url)
        self._seconds = seconds
        self._headers = {"Accept": "application/json"}
        if password is not None:
            self._headers["Authorization"] = f"Basic {base64.b64encode(f':{password}'.encode()).decode()}"
        self._opener = build_opener(_NoRedirect)

    def studies(self) -> list[Study]:
        """Every study, the oldest first."""
        found: list[Study] = []
        offset: int | None = 0
        while offset is not None:
            page = self._message(Studies, "GET", "/studies", query={"offset": offset})
            found, offset = [*found, *page.studies], page.next
        return found

    def launch(self, spec: Mapping[str, Any] | str, enqueue: list[dict[str, str | float]] | None = None) -> Launched:
        """Create a study, or open the one that has this spec; the server's workers run it.

        Args:
            spec: its fields, or the text of a TOML file.
            enqueue: settings that run first.
        """
        body: dict[str, Any] = {"toml": spec} if isinstance(spec, str) else {"spec": dict(spec)}
        return self._message(Launched, "POST", "/studies", body=body | {"enqueue": enqueue or []})

    def study(self, name: str) -> Study:
        """How far a study is."""
        return self._message(Study, "GET", _path(name))

    def stop(self, name: str) -> Study:
        """End a study for good: trials that have begun are trained to their end, and no other begins."""
        return self._message(Study, "POST", f"{_path(name)}/stop", body={})

    def extend(self, name: str, steps: int | None = None, top: int | None = None, runs: int | None = None) -> Study:
        """Have the best settings of a study trained longer, see ``gradstudy extend``."""
        given = {"steps": steps, "top": top, "runs": runs}
        body = {option: value for option, value in given.items() if value is not None}
        return self._message(Study, "POST", f"{_path(name)}/extend", body=body)

    def delete(self, name: str) -> None:
        """Delete a study and everything of it."""
        self._ask("DELETE", _path(name))

    def report(self, name: str) -> dict[str, Any]:
        """The report of a study as ``gradstudy report --format json`` writes it."""
        report: dict[str, Any] = json.loads(self.written_report(name, "json"))
        return report

    def written_report(self, name: str, form: Form, width: int = 80) -> bytes:
        """The report of a study as a file; ``width`` is that of text, in columns."""
        return self._ask("GET", f"{_path(name)}/report", query={"format": form, "width": width})

    def trials(self, name: str) -> Iterator[dict[str, Any]]:
        """The trials of a study by number: rows of the view ``trial_result``."""
        after: int | None = -1
        while after is not None:
            page = self._message(Trials, "GET", f"{_path(name)}/trials", query={"after": after, "limit": PAGE})
            yield from page.trials
            after = page.next

    def _message(self, kind: type[Message], method: str, path: str, **given: Any) -> Message:
        try:
            return kind.model_validate_json(self._ask(method, path, **given))
        except ValidationError:
            raise self._no_server("it answers something else") from None

    def _ask(
        self, method: str, path: str, *, query: Mapping[str, Any] | None = None, body: Mapping[str, Any] | None = None
    ) -> bytes:
        url = f"{self.url}{PREFIX}{path}"
        request = Request(f"{url}?{urlencode(query)}" if query else url, method=method, headers=self._headers)
        if body is not None:
            try:
                request.data = json.dumps(body, allow_nan=False).encode()
            except (TypeError, ValueError) as error:
                raise UsageError(f"what is sent must be what JSON has: {error}") from None
            request.add_header("Content-Type", "application/json")
        try:
            with self._opener.open(request, timeout=self._seconds) as answer:
                content: bytes = answer.read()
                return content
        except HTTPError as error:
            with error:
                raise self._refusal(error) from None
        except (OSError, ValueError, HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise NoAnswerError(f"the server at {self.url} does not answer: {reason}") from None

    def _refusal(self, error: HTTPError) -> RefusedError | NoAnswerError:
        try:
            text = Failure.model_validate_json(error.read()).error
        except (ValidationError, OSError):
            return self._no_server(f"it answers {error.code}")
        kind = NoAnswerError if error.code == HTTPStatus.SERVICE_UNAVAILABLE else RefusedError
        return kind(f"{self.url} says: {text}")

    def _no_server(self, reason: str) -> NoAnswerError:
        return NoAnswerError(f"there is no server of gradstudy's at {self.url}: {reason}")


class _NoRedirect(HTTPRedirectHandler):
    """Follows nowhere: the password is for one server."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> None:
        """See HTTPRedirectHandler."""


def _path(name: str) -> str:
    return f"/studies/{quote(name, safe='')}"


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        is_right = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise UsageError(
            "the URL of a server is http://HOST:PORT or https://HOST, but what was given is none"
        ) from None
    if "@" in parts.netloc:
        raise UsageError(
            "the URL of a server has no password in it, where it would be shown; set GRADSTUDY_SERVER_PASSWORD or give "
            "--password-file FILE"
        )
    if not is_right or parts.query or parts.fragment:
        raise UsageError(f"the URL of a server is http://HOST:PORT or https://HOST, but got {url!r}")
    return url.rstrip("/")
