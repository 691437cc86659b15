"""Who may do what over HTTP: WSGI middleware for optuna-dashboard, which has no passwords and no read-only mode."""

import hmac
from base64 import b64decode
from collections.abc import Callable, Iterable
from typing import Any

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]

READING = frozenset({"GET", "HEAD", "OPTIONS"})
"""The methods that change nothing (RFC 9110, 9.2.1)."""

CHALLENGE = ("WWW-Authenticate", 'Basic realm="gradstudy", charset="UTF-8"')


def read_only(application: Application) -> Application:
    """Refuse every request that could change something, with 403."""

    def refuse_changes(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] in READING:
            return application(environ, start_response)
        return _refusal(start_response, "403 Forbidden", "this dashboard is read-only; start it with --writable")

    return refuse_changes


def password_protected(application: Application, password: str) -> Application:
    """Answer only requests with this password, of any user name (HTTP Basic authentication, RFC 7617)."""
    expected = password.encode()

    def ask_for_password(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        # The comparison takes as long however much of the password is right.
        if hmac.compare_digest(_given_password(environ), expected):
            return application(environ, start_response)
        return _refusal(start_response, "401 Unauthorized", "a password is needed", CHALLENGE)

    return ask_for_password


def _given_password(environ: Environ) -> bytes:
    scheme, _, credentials = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() != "basic":
        return b""
    try:
        return b64decode(credentials, validate=True).partition(b":")[2]
    except ValueError:
        return b""


def _refusal(start_response: StartResponse, status: str, reason: str, *headers: tuple[str, str]) -> Iterable[bytes]:
    # optuna-dashboard shows the reason of an answer in JSON to the person at the browser.
    body = f'{{"reason": "{reason}"}}'.encode()
    start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body))), *headers])
    return [body]
