import threading

import pytest
from sqlalchemy.exc import OperationalError

from gradstudy.storage.errors import UnavailableError
from gradstudy.study.patience import Patience

URL = "postgresql://anna:Tr0ub4dor@h/d"


@pytest.mark.parametrize("has_sentence", [True, False])
def test_what_is_said_of_a_wait_holds_no_password(has_sentence: bool) -> None:
    """Neither of a driver's error, nor of one that has a sentence, which is what is said then."""
    stop, said = threading.Event(), []

    def announce(text: str) -> None:
        said.append(text)
        stop.set()

    def ask() -> None:
        try:
            raise OperationalError("SELECT 1", None, ConnectionError(f"no answer\nfrom {URL}"))
        except OperationalError as error:
            if has_sentence:
                raise UnavailableError("d cannot be used") from error
            raise

    with pytest.raises((UnavailableError, OperationalError)):
        Patience(stop, announce)(ask)
    [text] = said
    assert "Tr0ub4dor" not in text
    assert ("d cannot be used" in text) is has_sentence
    assert ("no answer from postgresql://anna:***@h/d" in text) is not has_sentence
