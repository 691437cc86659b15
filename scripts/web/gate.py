"""Who may do what over HTTP: optuna-dashboard has no passwords and no read-only mode."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from gradstudy.scripts.web.hosts import Hosts
from gradstudy.scripts.web.password import Password
from gradstudy.scripts.web.refusal import Refusal

READING = frozenset({"GET", "HEAD", "OPTIONS"})
"""The methods that change nothing (RFC 9110, 9.2.1)."""

READ_ONLY = Refusal(HTTPStatus.FORBIDDEN, "this dashboard is read-only; start it with --writable")


@dataclass(frozen=True)
class Gate:
    """What a request must have to be let in; asked when its headers are there, before its body.

    Attributes:
        hosts: names that it may use.
        password: that it must have; None where it needs none.
        writable: whether it may change something.
    """

    hosts: Hosts
    password: Password | None
    writable: bool

    def refusal(self, method: str, headers: Mapping[str, str], client: str) -> Refusal | None:
        """Why a request is refused; None where it is let in.

        Args:
            method: of the request.
            headers: by their names in capitals, with ``_`` for ``-``.
            client: address that it comes from.
        """
        refusal = self.hosts.refusal(headers.get("HOST"), headers.get("ORIGIN"))
        if refusal is None and self.password is not None:
            refusal = self.password.refusal(headers.get("AUTHORIZATION"), client)
        if refusal is None and not self.writable and method not in READING:
            refusal = READ_ONLY
        return refusal
