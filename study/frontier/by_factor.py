"""The frontier by each number that a study varies, such as the length of the warm-up."""

import pandas as pd

from gradstudy.study.spec.factors import described, shown
from gradstudy.study.statistics.grouping import GROUP, in_words

COLUMNS = [
    "factor", "value", "beside", *GROUP, "threshold_bin", "runs", "frontier", "frontier_low", "frontier_high", "status",
    "lowest_learning_rate", "highest_learning_rate",
]  # fmt: skip


def frontier_by_factor(frontiers: pd.DataFrame, trials: pd.DataFrame) -> pd.DataFrame:
    """The frontiers of a study, sorted by one factor after the other.

    Of a strategy with thresholds it is that of the half-decade with most runs, the same for all values.

    Args:
        frontiers: see ``frontier``.
        trials: rows of ``trial_result`` of which they are.

    Returns:
        For each factor that has several values, all numbers, the rows of ``frontiers`` with ``factor``, ``value`` as
        text, in rising order, and ``beside``: the values of the other factors in words.
    """
    if "factors" not in frontiers or frontiers.empty:
        return pd.DataFrame(columns=COLUMNS)
    words = in_words(trials)["factors"]
    of_words = dict(zip(words, trials["factors"], strict=True))
    rows = _one_threshold(frontiers)
    values = pd.DataFrame([of_words[each] for each in rows["factors"]], index=rows.index)
    parts = []
    for name in values:
        column = values[name]
        if not pd.api.types.is_numeric_dtype(column) or column.dtype == bool or column.nunique() < 2:
            continue
        others = values.drop(columns=name).to_dict("records")
        part = rows.assign(
            factor=str(name),
            number=column,
            value=[shown(each) for each in column],
            beside=[described({str(key): value for key, value in other.items()}) for other in others],
        )
        parts.append(part.sort_values(by=["beside", *GROUP, "number"], kind="stable"))
    return pd.concat(parts, ignore_index=True)[COLUMNS] if parts else pd.DataFrame(columns=COLUMNS)


def _one_threshold(frontiers: pd.DataFrame) -> pd.DataFrame:
    """The rows of the half-decade of threshold that has most runs of its cell and strategy."""
    counts = frontiers.groupby([*GROUP, "threshold_bin"], dropna=False, as_index=False).agg(runs=("runs", "sum"))
    most = counts.sort_values("runs", ascending=False, kind="stable").drop_duplicates(list(GROUP))
    return frontiers.merge(most[[*GROUP, "threshold_bin"]], on=[*GROUP, "threshold_bin"])
