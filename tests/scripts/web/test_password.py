"""How long whoever guesses has to wait, by a clock that stands still."""

import base64
from http import HTTPStatus

import pytest

from gradstudy.scripts.web.password import ADDRESSES, FREE_GUESSES, LONGEST_WAIT, MEMORY, Password


class Guessing:
    """Somebody who tries passwords, and the time."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.password = Password("right", lambda: self.now)
        self.guesses = 0

    def gives(self, password: str, client: str = "192.0.2.1") -> int:
        header = "Basic " + base64.b64encode(f"me:{password}".encode()).decode()
        refusal = self.password.refusal(header, client)
        return HTTPStatus.OK if refusal is None else refusal.status

    def guesses_wrong(self, client: str = "192.0.2.1") -> int:
        self.guesses += 1
        return self.gives(f"guess {self.guesses}", client)


@pytest.fixture
def guessing() -> Guessing:
    return Guessing()


def test_a_wait_doubles_up_to_the_longest(guessing: Guessing) -> None:
    for _ in range(FREE_GUESSES):
        assert guessing.guesses_wrong() == 401
    for wait in (1, 2, 4, 8, 16, 32, LONGEST_WAIT, LONGEST_WAIT):
        assert guessing.guesses_wrong() == 401
        guessing.now += wait - 0.25
        assert guessing.guesses_wrong() == 429
        guessing.now += 0.25


def test_in_a_day_an_address_has_about_a_guess_a_minute(guessing: Guessing) -> None:
    tried = 0
    for _ in range(24 * 3600 * 2):
        tried += guessing.guesses_wrong() == 401
        guessing.now += 0.5
    assert tried < 24 * 60 + 20


def test_during_a_wait_even_the_right_password_is_not_looked_at(guessing: Guessing) -> None:
    for _ in range(FREE_GUESSES + 1):
        guessing.guesses_wrong()
    assert guessing.gives("right") == 429
    guessing.now += 1
    assert guessing.gives("right") == 200
    assert [guessing.guesses_wrong() for _ in range(FREE_GUESSES)] == [401] * FREE_GUESSES  # it begins anew
    assert guessing.gives("right") == 200


def test_a_browser_that_repeats_an_old_password_does_not_guess(guessing: Guessing) -> None:
    assert [guessing.gives("old") for _ in range(100)] == [401] * 100
    assert guessing.gives("right") == 200


def test_others_do_not_wait(guessing: Guessing) -> None:
    for client in ("192.0.2.1", "2001:db8::1"):
        for _ in range(FREE_GUESSES + 1):
            guessing.guesses_wrong(client)
    assert guessing.gives("right", "192.0.2.2") == 200
    assert guessing.gives("right", "2001:db8:0:1::1") == 200
    assert guessing.gives("right", "2001:db8::ffff") == 429  # the same network, which one person has
    assert guessing.gives("right", "::ffff:192.0.2.1") == 429
    assert guessing.gives("right", "fe80::1%eth0") == 200


def test_what_is_remembered_ends(guessing: Guessing) -> None:
    for _ in range(FREE_GUESSES):
        guessing.guesses_wrong()
    guessing.now += MEMORY + 1
    assert guessing.guesses_wrong() == 401
    assert guessing.gives("right") == 200
    for number in range(ADDRESSES + 10):
        guessing.gives("x", f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(guessing.password._guessers) == ADDRESSES
