"""Names of columns for a form in which each name can be there once."""

from collections.abc import Sequence


def distinct_names(columns: Sequence[str]) -> list[str]:
    """The names; those that are there again get a number, and no two are the same."""
    taken, names = set(columns), []
    seen: set[str] = set()
    for column in columns:
        name, number = column, 1
        while name in seen or (number > 1 and name in taken):
            number += 1
            name = f"{column}_{number}"
        seen.add(name)
        names.append(name)
    return names
