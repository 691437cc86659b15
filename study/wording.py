"""Numbers in sentences."""


def counted(number: int, word: str) -> str:
    """``1 run``, ``1,200 runs``."""
    return f"{number:,} {word}{'' if number == 1 else 's'}"
