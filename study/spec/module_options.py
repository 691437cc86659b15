"""Options of a user's function as a command line gives them."""

import re
from typing import Any


def plain_option(option: Any) -> Any:
    """An option of a user's function: a number, true or false where it is written as one."""
    if option in ("true", "false"):
        return option == "true"
    if isinstance(option, str) and re.fullmatch(r"-?\d+", option):
        return int(option)
    if isinstance(option, str) and re.fullmatch(r"-?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,2})?", option, re.IGNORECASE):
        return float(option)
    return option
