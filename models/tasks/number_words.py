"""Digits to English words, by num2words."""

import random
import re

from num2words import num2words

from gradstudy.models.tasks.pairs import TokenPairs, encode_pairs, hold_out

HELD_OUT_SHARE = 0.1
"""Share of the numbers that is held out for validation."""


def load_numbers(max_length: int, examples: int, seed: int) -> TokenPairs:
    """Up to ``examples`` different numbers of 1 to ``max_length`` digits, of each length alike if it can be.

    Words are lower case, without commas and hyphens: ``one thousand two hundred and four``.
    """
    numbers = _draw(max_length, examples, random.Random(seed))
    return encode_pairs(
        [str(number) for number in numbers],
        [number_words(number) for number in numbers],
        held_out=hold_out(len(numbers), HELD_OUT_SHARE, seed),
        origin=f"{len(numbers)} numbers of up to {max_length} digits, spelled by num2words, seed {seed}",
        dropped={"numbers fewer than asked for: there are no more of these lengths": examples - len(numbers)},
    )


def number_words(number: int) -> list[str]:
    """The English words of a number."""
    return re.findall(r"[a-z]+", num2words(number))


def _draw(max_length: int, examples: int, generator: random.Random) -> list[int]:
    """Up to ``examples`` different numbers, spread evenly over the lengths that have enough of them."""
    numbers: list[int] = []
    for length in range(1, max_length + 1):
        these = range(10 ** (length - 1) if length > 1 else 0, 10**length)
        share = (examples - len(numbers)) // (max_length + 1 - length)
        numbers += generator.sample(these, min(share, len(these)))
    return numbers
