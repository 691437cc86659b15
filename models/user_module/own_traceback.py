"""The traceback of an exception of the user's code, without our own frames."""

import sys
import traceback
from itertools import compress
from pathlib import Path

HERE = Path(__file__).parent
LONGEST = 20_000
"""Characters of a traceback that are kept, the last ones."""


def own_traceback() -> str:
    """That of the exception that is being handled."""
    error = sys.exception()
    assert error is not None
    frames = traceback.walk_tb(error.__traceback__)
    theirs = [HERE not in Path(frame.f_code.co_filename).parents for frame, _ in frames]
    shown = traceback.TracebackException.from_exception(error)
    shown.stack = traceback.StackSummary.from_list(list(compress(shown.stack, theirs)))
    return "".join(shown.format())[-LONGEST:]
