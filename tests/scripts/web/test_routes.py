from collections.abc import Callable, Iterable

import pytest
from wsgi_client import get

from gradstudy.scripts.web.routes import routed


def says(name: str) -> Callable[..., Iterable[bytes]]:
    def answer(environ: object, start: Callable[..., object]) -> Iterable[bytes]:
        start("200 OK", [])
        return [name.encode()]

    return answer


@pytest.mark.parametrize(
    ("path", "name"),
    [("/", "home"), ("/studies", "a"), ("/studies/", "a"), ("/studies/a%2Fb", "a"), ("/studiesx", "others"),
     ("/api/v1", "b"), ("/api/v1/x", "b"), ("/api/v12", "others"), ("/api/studies", "others"),
     ("/dashboard", "others")],
)  # fmt: skip
def test_the_application_of_a_path_answers_all_below_it(path: str, name: str) -> None:
    application = routed({"/": says("home"), "/studies": says("a"), "/api/v1": says("b")}, says("others"))
    assert get(application, path).text == name
