"""Text from elsewhere, such as a path, a name in a database or a driver's error, as a terminal may show it."""

from gradstudy.storage.user_info import without_user_info


def printable(text: str) -> str:
    """The text with letters that a terminal would obey, or cannot show, written as escapes; lines stay lines."""
    return "".join(
        letter if letter.isprintable() or letter == "\n" else letter.encode("unicode_escape", "surrogatepass").decode()
        for letter in text
    )


def sentence(text: str) -> str:
    """A printable text on one line, in which no URL has a password."""
    return printable(" ".join(without_user_info(text).split("\n")))
