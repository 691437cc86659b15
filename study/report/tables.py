"""The tables of a report as text for people: headings, units, digits."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from gradstudy.study.statistics.grouping import group_keys
from gradstudy.study.statistics.metrics import METRIC

if TYPE_CHECKING:
    from gradstudy.study.report.comparison import Comparison
    from gradstudy.study.report.report import Report

SURVIVAL_ROWS = 12
"""Of one cell and strategy; all of them are in the JSON, CSV and Parquet forms."""

Cell = tuple[str, Any]
"""What is shown, and the value to sort by."""


@dataclass(frozen=True, kw_only=True)
class TextTable:
    """A table to show.

    Attributes:
        name: of the table, as in ``Report.tables``.
        title: of the table.
        note: how to read it.
        headings: of the columns.
        numeric: which of the columns hold numbers.
        rows: the cells.
    """

    name: str
    title: str
    note: str
    headings: list[str]
    numeric: list[bool]
    rows: list[list[Cell]]


def number(value: Any) -> str:
    """Three digits, or a dash."""
    return "–" if pd.isna(value) else f"{value:.3g}"


def percent(value: Any) -> str:
    """A whole percentage, or a dash."""
    return "–" if pd.isna(value) else f"{value:.0%}"


def _word(value: Any) -> str:
    return "–" if pd.isna(value) else str(value)


def _whole(value: Any) -> str:
    return "–" if pd.isna(value) else f"{int(value):,}"


def _yes(value: Any) -> str:
    return "yes" if value else ""


COLUMNS: Mapping[str, tuple[str, Callable[[Any], str]]] = MappingProxyType(
    {
        "cell": ("cell", _word),
        "strategy": ("strategy", _word),
        "factors": ("factors", _word),
        "value": ("value", _word),
        "beside": ("other factors", _word),
        "settings": ("settings", _whole),
        "runs": ("runs", _whole),
        "diverged": ("diverged", _whole),
        "rate": ("rate", percent),
        "rate_low": ("rate, low", percent),
        "rate_high": ("rate, high", percent),
        "largest_kept_learning_rate": ("largest lr kept", number),
        "smallest_diverged_learning_rate": ("smallest lr diverged", number),
        "best_validation_loss": ("lowest loss", number),
        "clipped_fraction": ("updates clipped", percent),
        "expected_loss": ("best loss, expected", number),
        "usable_decades": ("usable decades of lr", number),
        "usable_low": ("usable, low", number),
        "usable_high": ("usable, high", number),
        "frontier_lowest": ("frontier, lowest", number),
        "frontier_highest": ("frontier, highest", number),
        "threshold_bin": ("threshold from", number),
        "threshold_decade": ("threshold from", number),
        "learning_rate_bin": ("lr from", number),
        "lowest_learning_rate": ("lowest lr tried", number),
        "highest_learning_rate": ("highest lr tried", number),
        "frontier": ("frontier", number),
        "frontier_low": ("frontier, low", number),
        "frontier_high": ("frontier, high", number),
        "status": ("status", _word),
        "widths": ("trained at", _word),
        "target": ("predicted for", number),
        "best_rate": ("best lr", number),
        "best_rate_low": ("best lr, low", number),
        "best_rate_high": ("best lr, high", number),
        "best_rate_slope": ("its decades a decade", number),
        "frontier_slope": ("its decades a decade", number),
        "factor": ("factor", _word),
        "importance": ("uncertainty taken away", percent),
        "importance_low": ("low", percent),
        "importance_high": ("high", percent),
        "without_one": ("without one strategy", percent),
        "levels": ("values", _whole),
        "median": ("median norm", number),
        "p90": ("90th percentile", number),
        "largest": ("largest", number),
        "threshold": ("threshold", number),
        "without_clipping": ("from runs without clipping", _word),
        "checked_by": ("runs that used it", _whole),
        "step": ("step", _whole),
        "steps": ("steps", _whole),
        "is_answer": ("the answer of the study", _yes),
        "measured": ("measured at steps", _whole),
        "loss_low": ("loss, low", number),
        "loss_high": ("loss, high", number),
        "risk": ("diverges by then", percent),
        "risk_low": ("low", percent),
        "risk_high": ("high", percent),
        "blow_up": ("by blowing up", percent),
        "collapse": ("by losing what it learned", percent),
        "no_recovery": ("by not coming back", percent),
        "at_risk": ("at risk", _whole),
        "surviving": ("not diverged", percent),
        "surviving_low": ("low", percent),
        "surviving_high": ("high", percent),
        "study": ("study", _word),
        "learning_rate": ("lr", number),
        "multiple": ("times the chosen lr", number),
        "number": ("chosen in trial", _whole),
        "validation_loss": ("mean loss, trained", number),
        "loss": ("mean loss", number),
        "loss_away": ("± 95%", number),
        "untrained": ("untrained loss", number),
        "less_diverged": ("diverged less than none", percent),
        "less_diverged_low": ("low", percent),
        "less_diverged_high": ("high", percent),
        "less_loss": ("loss below none's", number),
        "less_loss_away": ("± 95%", number),
        "difference": ("B less A", percent),
        "difference_low": ("low", percent),
        "difference_high": ("high", percent),
    }
)

TITLES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "confirmation": (
            "Confirmation",
            "Fresh runs of the chosen settings, which had no part in choosing them, with the 95% interval of the "
            "divergence rate: it holds for all these settings together and however often one looked. "
            "Mean loss: a diverged run counts as untrained.",
        ),
        "at_horizon": (
            "At the horizon",
            "What each setting does at the horizon, with 90% intervals: measured where its longest runs are as long, "
            "else extrapolated from them; the best one first. Runs and diverged: of these longest runs. That a run "
            "diverges is the sum of three causes. Mean loss: a diverged run counts as untrained.",
        ),
        "horizons": (
            "Settings trained longer",
            "The best settings of this study, trained longer: fewer of them at each number of steps, and each also at "
            "half its learning rate. Mean loss: a diverged run counts as untrained.",
        ),
        "scaling": (
            "A larger model",
            "The best learning rate and the frontier that runs of smaller models predict, with their 95% intervals: "
            "straight lines in logarithms, extrapolated.",
        ),
        "settings": (
            "Each setting",
            "The settings of the grid, the best first, each by its own runs: divergence rates with their 95% Wilson "
            "intervals; mean loss: a diverged run counts as untrained. Beside no clipping at the same learning rate: "
            "Newcombe's and Welch's intervals.",
        ),
        "strategies": (
            "Each strategy",
            "Over the whole ranges of learning rate and threshold; rates with their 95% Wilson intervals. "
            "Best loss, expected: of a run of the best setting, of which a diverged one counts as untrained; the "
            "luck of the run that was best is taken off. Usable decades of lr: within 2% of the untrained loss of the "
            "best one, at the threshold of that setting, with the 95% interval.",
        ),
        "metrics": (
            "Beside the loss",
            "What your own metric says of the best setting of each strategy: means over its runs that did not diverge. "
            "No choice rests on it.",
        ),
        "factors": (
            "Each value of what is varied",
            "Over the whole ranges of everything else; rates with their 95% Wilson intervals.",
        ),
        "frontier_by_factor": (
            "Frontier by what is varied",
            "The largest learning rate at which less than 10% of runs diverge, at each value; of a strategy with "
            "thresholds in the half-decade that has most runs.",
        ),
        "frontier": (
            "Frontier",
            "The largest learning rate at which less than 10% of runs diverge, for each half-decade of threshold, "
            "with its 95% interval. A dash lies outside of what was tried.",
        ),
        "bins": ("Bins", "Runs by decade of threshold and half-decade of learning rate."),
        "importance": (
            "What decides about divergence",
            "The share of the uncertainty about divergence that each factor takes away on its own; "
            "a threshold within its strategy. With its 95% interval, and what is left without the strategy that "
            "matters most to it.",
        ),
        "gradient_norms": (
            "Gradient norms",
            "Before clipping, the medians over the trained runs of a run's median, 90th percentile and largest norm.",
        ),
        "suggested_threshold": (
            "Suggested threshold",
            "For clipping by norm: the 90th percentile of the norms of a run that trains near the best learning rate; "
            "checked by the runs that used about this threshold there.",
        ),
        "survival": (
            "Time to divergence",
            "Kaplan-Meier: the share of runs that have not diverged after so many steps, with its 95% interval.",
        ),
        "comparison": (
            "Side by side",
            "Over the whole ranges of learning rate and threshold; the difference of the rates with Newcombe's 95% "
            "interval: where it holds 0, the studies do not tell the two apart.",
        ),
    }
)


def text_tables(report: "Report | Comparison") -> list[TextTable]:
    """The tables of a report that have rows."""
    tables = report.tables()
    if "survival" in tables:
        tables["survival"] = _thinned(tables["survival"])
    return [text_table(name, *TITLES[name], frame) for name, frame in tables.items() if not frame.empty]


def text_table(name: str, title: str, note: str, frame: pd.DataFrame) -> TextTable:
    """A frame of known columns as text."""
    known = [_column(str(column)) for column in frame]
    return TextTable(
        name=name,
        title=title,
        note=note,
        headings=[heading for heading, _ in known],
        numeric=[form is not _word for _, form in known],
        rows=[
            [(form(value), value) for (_, form), value in zip(known, row, strict=True)]
            for row in frame.itertuples(index=False)
        ],
    )


def _column(name: str) -> tuple[str, Callable[[Any], str]]:
    """Heading and form of a column, also of one that a comparison has for A and for B."""
    if name in COLUMNS:
        return COLUMNS[name]
    if name.startswith(METRIC):
        return name.removeprefix(METRIC), number
    plain, _, side = name.rpartition("_")
    heading, form = COLUMNS[plain]
    return f"{heading}, {side.upper()}", form


def _thinned(survival: pd.DataFrame) -> pd.DataFrame:
    groups = [
        group.iloc[np.unique(np.linspace(0, len(group) - 1, min(SURVIVAL_ROWS, len(group))).astype(int))]
        for _, group in survival.groupby(group_keys(survival))
    ]
    return pd.concat(groups) if groups else survival
