"""What a reader passed over, in words."""

from collections.abc import Mapping

_ONE = {
    "blank lines": "blank line",
    "comments": "comment",
    "repeated header rows": "repeated header row",
    "rows with too few cells": "row with too few cells",
    "lines below the table": "line below the table",
}


def skipped_in_words(skipped: Mapping[str, int]) -> list[str]:
    """Each reason with its number, such as ``1 blank line``; without those of none."""
    return [f"{count:,} {_ONE.get(what, what) if count == 1 else what}" for what, count in skipped.items() if count]
