"""Styles and scripts of the pages, which browsers keep until they change."""

from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files

PLACES = {
    "page.css": "gradstudy.study.report.templates",
    "page.js": "gradstudy.study.report.templates",
    "pages.css": "gradstudy.scripts.web.pages.templates",
    "pages.js": "gradstudy.scripts.web.pages.templates",
}
"""Where each lies; the first two are those of a report."""
PLOTLY = "plotly.js"
TYPES = {"css": "text/css; charset=UTF-8", "js": "text/javascript; charset=UTF-8"}


@dataclass(frozen=True)
class Asset:
    """A style or a script.

    Attributes:
        content: of the file.
        kind: as the header ``Content-Type`` says it.
        digest: which is another one for another content.
    """

    content: bytes
    kind: str
    digest: str


@cache
def find_asset(name: str) -> Asset:
    """The asset of a name.

    Raises:
        KeyError: there is none.
    """
    content = _plotly() if name == PLOTLY else files(PLACES[name]).joinpath(name).read_bytes()
    return Asset(content, TYPES[name.rpartition(".")[2]], sha256(content).hexdigest()[:16])


def address_of_asset(name: str) -> str:
    """Where a page finds an asset: a changed one has another address."""
    return f"/assets/{name}?{find_asset(name).digest}"


def _plotly() -> bytes:
    from plotly.offline import get_plotlyjs

    return bytes(get_plotlyjs().encode())
