"""What can go wrong with a command, beside its work.

CommandError
├── UsageError       options that do not go together, or that name what is not there
├── CannotServeError an address that cannot be served on
├── RefusedError     a server says why it does not do what was asked
└── NoAnswerError    a server does not answer, or cannot for now
"""

from importlib.util import find_spec


class CommandError(Exception):
    """Base of the errors of this room; its text is one sentence for the user."""


class UsageError(CommandError, ValueError):
    """The command was called in a way that cannot work."""


class CannotServeError(CommandError, OSError):
    """The system does not let us listen there."""


class RefusedError(CommandError):
    """A server does not do what was asked; the text is what it says."""


class NoAnswerError(CommandError, OSError):
    """A server does not answer, or cannot for now."""


def require_extra(extra: str, what: str, *modules: str) -> None:
    """Say how to install what an optional part of gradstudy needs.

    Raises:
        UsageError: one of the modules is not installed.
    """
    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        raise UsageError(f'{what} needs {missing[0]}; install it with: pip install "gradstudy[{extra}]"')
