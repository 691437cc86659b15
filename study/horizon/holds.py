"""What longer training did to the settings that were best in short runs, in words."""

from typing import TYPE_CHECKING, Any

from gradstudy.study.wording import counted

if TYPE_CHECKING:
    import pandas as pd

AS_GOOD = 0.02
"""Share of the untrained loss within which two settings are about as good."""
BEYOND = 16
"""Times the longest run up to which it tells something."""


def holds(table: "pd.DataFrame", short: int) -> list[str]:
    """Whether the answer of a study holds where its settings were trained longest.

    Args:
        table: see ``horizon_table``.
        short: steps of the study.
    """
    measured = table[table["loss"].notna()] if len(table) else table
    if measured.empty:
        return []
    steps = int(measured["steps"].max())
    rows = measured[measured["steps"] == steps].to_dict("records")
    best, answer = rows[0], next((row for row in rows if row["is_answer"]), None)
    runs = f"{counted(best['runs'], 'run')}, of which {best['diverged']} diverged; at most {best['rate_high']:.0%} do"
    sentences = [
        f"At {steps:,} steps, {steps / short:g} times the study's, the best of {counted(len(rows), 'setting')} is "
        f"{in_words(best)}: mean loss {best['loss']:.3g} ({runs})."
    ]
    if answer is not None:
        sentences.append(_of_the_answer(best, answer, short))
    sentences.append(f"Nothing is known of training beyond {BEYOND * steps:,} steps.")
    return sentences


def _of_the_answer(best: "dict[Any, Any]", answer: "dict[Any, Any]", short: int) -> str:
    if answer is best:
        return f"That is the answer for {short:,} steps: it holds there."
    more = answer["loss"] - best["loss"]
    share = f" ({more / best['loss']:.0%})" if best["loss"] > 0 else ""
    ended = f"The answer for {short:,} steps, {in_words(answer)}, ends {more:.3g}{share} higher there"
    if more <= AS_GOOD * answer["untrained"]:
        return f"{ended}: about as good, within {AS_GOOD:.0%} of the untrained loss. It holds."
    return f"{ended}: it does not hold, as far as {counted(answer['runs'], 'run')} of each setting can tell."


def in_words(row: "dict[Any, Any]") -> str:
    """The setting of a row."""
    threshold = "" if row["threshold"] != row["threshold"] else f" at {row['threshold']:.3g}"
    words = f"{row['cell'].upper()}, {row['strategy']}{threshold}, learning rate {row['learning_rate']:.3g}"
    return ", ".join(filter(None, (words, row["factors"])))
