"""The password of the dashboard, and how long whoever guesses at it has to wait."""

import hashlib
import hmac
import ipaddress
import secrets
import time
from base64 import b64decode
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from gradstudy.scripts.web.refusal import Refusal

CHALLENGE = ("WWW-Authenticate", 'Basic realm="gradstudy", charset="UTF-8"')

FREE_GUESSES = 5
"""Wrong passwords without a wait; from the next one on it is a second, and twice as long each time."""

LONGEST_WAIT = 60.0
"""Seconds."""

MEMORY = 3600.0
"""Seconds without a wrong password after which an address begins anew."""

ADDRESSES = 10_000
"""Addresses that are remembered, the latest."""

NETWORK_BITS = 64
"""Of an IPv6 address: whoever has one has them all."""


@dataclass
class _Guesser:
    """What is known of an address that gave a wrong password."""

    guesses: int = 0
    latest: bytes = b""
    until: float = 0.0
    seen: float = 0.0


class Password:
    """HTTP Basic authentication (RFC 7617) with one password, of any user name."""

    def __init__(self, password: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._key = secrets.token_bytes()
        self._expected = self._digest(password.encode())
        self._clock = clock
        self._guessers: OrderedDict[str, _Guesser] = OrderedDict()

    def refusal(self, authorization: str | None, client: str) -> Refusal | None:
        """Why a request is refused; None where it is not. It never waits.

        Args:
            authorization: header of the request.
            client: address that it comes from.
        """
        given = _given_password(authorization)
        if given is None:
            return _unauthorized("a password is needed")
        address = _network(client)
        guesser = self._guessers.get(address)
        now = self._clock()
        if guesser is not None and now < guesser.until:
            seconds = f"{guesser.until - now:.0f}" if guesser.until - now > 1 else "1"
            reason = f"too many wrong passwords; try again in {seconds} seconds"
            return Refusal(HTTPStatus.TOO_MANY_REQUESTS, reason, (("Retry-After", seconds),))
        digest = self._digest(given)
        if hmac.compare_digest(digest, self._expected):
            self._guessers.pop(address, None)
            return None
        self._remember(address, digest, now)
        return _unauthorized("this is not the password")

    def _digest(self, password: bytes) -> bytes:
        return hmac.digest(self._key, password, hashlib.sha256)

    def _remember(self, address: str, digest: bytes, now: float) -> None:
        guesser = self._guessers.pop(address, None)
        if guesser is None or now - guesser.seen > MEMORY:
            guesser = _Guesser()
        if not hmac.compare_digest(digest, guesser.latest):  # a browser repeats what it was given
            guesser.guesses += 1
            if guesser.guesses > FREE_GUESSES:
                exponent = min(guesser.guesses - FREE_GUESSES - 1, 10)
                guesser.until = now + min(2.0**exponent, LONGEST_WAIT)
        guesser.latest, guesser.seen = digest, now
        self._guessers[address] = guesser
        if len(self._guessers) > ADDRESSES:
            self._guessers.popitem(last=False)


def _given_password(authorization: str | None) -> bytes | None:
    scheme, _, credentials = (authorization or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        return b64decode(credentials, validate=True).partition(b":")[2]
    except ValueError:
        return None


def _network(client: str) -> str:
    address = ipaddress.ip_address(client.partition("%")[0])
    if address.version == 4:
        return client
    return str(address.ipv4_mapped or ipaddress.IPv6Network((int(address), NETWORK_BITS), strict=False))


def _unauthorized(reason: str) -> Refusal:
    return Refusal(HTTPStatus.UNAUTHORIZED, reason, (CHALLENGE,))
