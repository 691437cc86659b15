"""What is predicted for a larger model, in words."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gradstudy.study.wording import times

if TYPE_CHECKING:
    import pandas as pd


def scaled_in_words(spec: Mapping[str, Any], table: "pd.DataFrame") -> list[str]:
    """What is predicted, on what it rests, and how to see whether it holds.

    Args:
        spec: of the study, as JSON.
        table: see ``scale_table``.
    """
    if table.empty:
        return []
    factor, target = next(iter(spec["space"]["scale_to"].items()))
    values = spec["space"]["factors"][factor]
    largest = max(values)
    tried = ", ".join(f"{value:g}" for value in sorted(values))
    said = [_of_group(factor, row) for row in table.to_dict("records")]
    said.append(
        f"All this is extrapolated from {factor} {tried} at {spec['steps']:,} steps: nothing was trained at "
        f"{target:g}, {times(target / largest)} the largest. Intervals are of 95%. To see whether it holds, launch "
        f"the same study with {factor} {target:g} alone and learning rates of such an interval."
    )
    return said


def _of_group(factor: str, row: Mapping[Any, Any]) -> str:
    threshold = "" if row["threshold"] != row["threshold"] else f" at {row['threshold']:.3g}"
    named = ", ".join(filter(None, (row["cell"].upper(), f"{row['strategy']}{threshold}", row["factors"])))
    return (
        f"{named}, at {factor} {row['target']:g}: {_rate('the best learning rate is', row, 'best_rate')}; "
        f"{_rate('10% of runs diverge at', row, 'frontier')}."
    )


def _rate(what: str, row: Mapping[Any, Any], column: str) -> str:
    if row[column] != row[column]:
        return f"{what} a rate that too few widths tell of"
    slope = row[f"{column}_slope"]
    return (
        f"{what} {row[column]:.2g} ({row[f'{column}_low']:.2g} to {row[f'{column}_high']:.2g}), "
        f"{2**slope:.2f} times as high for each doubling"
    )
