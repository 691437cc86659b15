"""The name of a study that is made for another one."""

from hashlib import sha256

LONGEST_NAME = 100
"""Characters of a study's name."""
DIGEST = 8
"""Characters that tell two names apart that begin alike."""


def derived_name(name: str, suffix: str) -> str:
    """A study's name with a suffix; of one that would be too long, its end gives way to a digest of the whole name."""
    if len(name) + len(suffix) <= LONGEST_NAME:
        return name + suffix
    digest = f"-{sha256(name.encode()).hexdigest()[:DIGEST]}"
    return name[: LONGEST_NAME - len(digest) - len(suffix)] + digest + suffix
