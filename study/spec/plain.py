"""What is known of a study that gradstudy did not train, in the place of a spec: runs, or trials of plain Optuna."""

from collections.abc import Mapping
from typing import Any

from gradstudy.storage.studies import EXTERNAL

PLAIN = "plain"
"""The part of such a study's record that no spec has: how it was read."""
UNKNOWN_CELL = "model"
"""Stands for the cell where no parameter says which one it is."""
UNKNOWN_SAMPLER = "unknown"
"""Stands for the sampler, which Optuna keeps with no study."""
UNKNOWN_STRATEGY = "as written"
"""Stands for the clipping strategy where no parameter says which one it is: that of the program."""
SMALLEST, LARGEST = 1e-12, 1e12
"""Between which learning rates and thresholds of recorded runs lie."""


def is_plain(spec: Mapping[str, Any]) -> bool:
    """Whether its own programs trained the runs of the study, so that there is no spec of it."""
    return PLAIN in spec


def is_recorded(spec: Mapping[str, Any]) -> bool:
    """Whether these programs recorded the runs here; if not, they kept them as a study of Optuna's."""
    return EXTERNAL in spec


def is_maximized(spec: Mapping[str, Any]) -> bool:
    """Whether losses are negative objectives: the study maximises them."""
    return is_plain(spec) and bool(spec[PLAIN]["maximized"])


def reference_in_words(spec: Mapping[str, Any]) -> str:
    """The loss that a diverged run counts as, and that shares are shares of."""
    if not is_plain(spec) or spec[PLAIN]["reference"] == GIVEN:
        return "the untrained loss"
    return "the loss that a diverged run counts as"


GIVEN, FIRST_REPORTS, WORST = "given", "first reports", "worst"
"""Where the loss comes from that a diverged run counts as: it was given as that of the untrained model, or taken from
what runs reported first, or from how the worst ones ended."""
