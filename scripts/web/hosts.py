"""Which names the dashboard answers to, so that no other site can speak to it through a browser.

A site whose name is made to point at this machine ("rebound") sends its own name as Host; a page of another site sends
its own address as Origin. An address in numbers cannot be rebound.
"""

import ipaddress
import re
import socket
from collections.abc import Sequence
from http import HTTPStatus

from gradstudy.scripts.errors import UsageError
from gradstudy.scripts.web.refusal import Refusal

NAME = re.compile(r"[A-Za-z0-9._-]{1,253}")
AUTHORITY = re.compile(rf"(?P<name>\[[0-9A-Fa-f:.]+\]|{NAME.pattern})(?::(?P<port>[0-9]{{1,5}}))?")
"""What a Host header holds (RFC 9110, 7.2): a name or an address, and a port."""

DEFAULT_PORTS = {"http": "80", "https": "443"}


class Hosts:
    """The names that a browser may use."""

    def __init__(self, listening: str, allowed: Sequence[str] = ()) -> None:
        """Answer to addresses in numbers, ``localhost``, this machine's name, and to further names.

        Args:
            listening: name or address that was given to listen on.
            allowed: further names; a page of one may have another port than the server, as behind a proxy.

        Raises:
            UsageError: one is no name.
        """
        for name in allowed:
            if not NAME.fullmatch(name):
                raise UsageError(
                    f"--allow-host takes a name without scheme and port, such as gpu7.lab, but got {name!r}"
                )
        self._allowed = {name.lower().rstrip(".") for name in allowed}
        self._names = {"localhost", listening.lower(), socket.gethostname().lower(), *self._allowed}

    def refusal(self, host: str | None, origin: str | None) -> Refusal | None:
        """Why a request with these headers is refused; None where it is not."""
        asked = AUTHORITY.fullmatch(host or "")
        if asked is None:
            return Refusal(HTTPStatus.BAD_REQUEST, "a request needs one Host header, with a name or an address")
        if not self._knows(_name(asked)):
            reason = f"this dashboard does not answer to the name {_name(asked)}; start it with --allow-host NAME"
            return Refusal(HTTPStatus.FORBIDDEN, reason)
        if origin is not None and not self._is_own(origin, asked):
            return Refusal(HTTPStatus.FORBIDDEN, "this dashboard does not answer to pages of other sites")
        return None

    def _knows(self, name: str) -> bool:
        return name in self._names or name.endswith(".localhost") or _is_address(name)

    def _is_own(self, origin: str, asked: "re.Match[str]") -> bool:
        """Whether a page of ``origin`` is one of those that were given under the name that is asked."""
        scheme, _, authority = origin.partition("://")
        found = AUTHORITY.fullmatch(authority)
        if scheme not in DEFAULT_PORTS or found is None:  # such as "null", of a page that hides where it is from
            return False
        port = DEFAULT_PORTS[scheme]
        same = (_name(found), found["port"] or port) == (_name(asked), asked["port"] or port)
        return same or _name(found) in self._allowed


def _name(authority: "re.Match[str]") -> str:
    return authority["name"].lower().rstrip(".")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True
