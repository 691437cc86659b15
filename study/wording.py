"""Numbers and lists in sentences."""


def counted(number: int, word: str) -> str:
    """``1 run``, ``1,200 runs``."""
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def not_finite(losses: list[str]) -> str:
    """``the training loss of the untrained model is not finite``; of two losses, that neither is."""
    if len(losses) == 1:
        return f"the {losses[0]} loss of the untrained model is not finite"
    return f"neither the {' nor the '.join(losses)} loss of the untrained model is finite"


def three_digits(number: float) -> float:
    """A number as it is shown and pasted."""
    return float(f"{number:.3g}")
