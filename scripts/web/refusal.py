"""Answers to requests that are not let in."""

import json
from dataclasses import dataclass
from http import HTTPStatus

from gradstudy.scripts.web.headers import PROTECTING, Headers


@dataclass(frozen=True)
class Refusal:
    """Why a request is not answered.

    Attributes:
        status: of the answer.
        reason: one sentence for the person at the browser.
        headers: of the answer, beside ``PROTECTING``.
    """

    status: HTTPStatus
    reason: str
    headers: Headers = ()

    def to_response(self, ident: str | None = None) -> tuple[str, list[tuple[str, str]], bytes]:
        """Status line, headers and body, as waitress takes them from an error of its own."""
        # optuna-dashboard shows the reason of an answer in JSON to the person at the browser; programs read the error.
        body = json.dumps({"error": self.reason, "reason": self.reason}).encode()
        headers = [("Content-Type", "application/json"), *PROTECTING, *self.headers]
        return f"{self.status.value} {self.status.phrase}", headers, body
