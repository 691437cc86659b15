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


def times(ratio: float) -> str:
    """``1.6 times``, ``110 times``: two digits, and no power of ten."""
    return f"{float(f'{ratio:.2g}'):,.12g} times"


def step_in_words(step: float) -> str:
    """``1,200``; a part of an epoch as it is."""
    return f"{step:,.0f}" if step == int(step) else f"{step:.6g}"


def listed_steps(steps: list[float], most: int = 5) -> str:
    """``3, 17 and 20``; of many the first ones."""
    words = [step_in_words(step) for step in steps[:most]]
    if len(steps) > most:
        return f"{', '.join(words)} and {len(steps) - most:,} more"
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
