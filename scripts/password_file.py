"""A file that holds a password, for commands: what stands on a command line everybody on the machine can read."""

from pathlib import Path

from gradstudy.scripts.errors import UsageError


def read_password(file: Path) -> str:
    """The password in a file; raises UsageError where there is none."""
    try:
        password = file.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
        raise UsageError(f"--password-file takes a file with a password, but {file} cannot be read: {reason}") from None
    if not password:
        raise UsageError(f"--password-file takes a file with a password, but {file} is empty")
    return password
