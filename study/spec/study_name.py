"""Names of studies, also of one that is made for another one."""

import re
from hashlib import sha256

from gradstudy.study.errors import SpecError

LONGEST_NAME = 100
"""Characters of a study's name."""
DIGEST = 8
"""Characters that tell two names apart that begin alike."""


def checked_name(name: str) -> str:
    """The name; raises ValueError for what cannot be one."""
    if not re.fullmatch(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{LONGEST_NAME - 1}}}", name):
        raise ValueError(
            f"must be 1 to {LONGEST_NAME} letters, digits, dots, dashes or underscores and begin with a letter or "
            f"digit, but got {name!r}"
        )
    return name


def require_name(name: str) -> None:
    """Raise SpecError for what cannot be the name of a study."""
    try:
        checked_name(name)
    except ValueError as error:
        raise SpecError(f"the name of a study {error}") from None


def derived_name(name: str, suffix: str) -> str:
    """A study's name with a suffix; of one that would be too long, its end gives way to a digest of the whole name."""
    if len(name) + len(suffix) <= LONGEST_NAME:
        return name + suffix
    digest = f"-{sha256(name.encode()).hexdigest()[:DIGEST]}"
    return name[: LONGEST_NAME - len(digest) - len(suffix)] + digest + suffix
