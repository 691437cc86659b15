"""Hiding the password of whatever looks like a URL, in text of any kind."""

import re

USER_INFO = re.compile(r"(://[^\s:/@]*:)\S*(@)")


def without_user_info(said: str) -> str:
    """The text without passwords; of a URL that cannot be read, what may be a part of one goes, too."""
    return USER_INFO.sub(r"\1***\2", said)
