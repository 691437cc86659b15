"""Confirming a setting: fresh runs of it and of a step in learning rate on each side, as many as it takes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from gradstudy.storage.queue import SettingRow
from gradstudy.study.answer.appraisal import Appraisal
from gradstudy.study.answer.choice import ranking
from gradstudy.study.answer.confidence_sequence import anytime_interval
from gradstudy.study.answer.evidence import ACCEPTABLE_UPPER_BOUND
from gradstudy.study.answer.recommendation import or_none, written
from gradstudy.study.statistics.grouping import SETTING, all_values, in_words, is_varied
from gradstudy.study.statistics.metrics import means, metric_columns, with_metrics
from gradstudy.study.statistics.rates import judged
from gradstudy.study.wording import three_digits

MARGIN = 2.0
STEPS = (1.0, 1 / MARGIN, MARGIN)
"""Learning rates that are confirmed, as multiples of that of the chosen setting, the most wanted first."""
SMALLEST_ROUND = 8
"""Runs of a setting below which a round is not worth its start."""
LARGEST_ROUND = 10_000
COLUMNS = [*SETTING, "multiple", "number", "runs", "diverged", "rate_low", "rate_high", "validation_loss", "loss"]


@dataclass(frozen=True, kw_only=True)
class Chosen(SettingRow):
    """A setting that is confirmed.

    Attributes:
        multiple: the learning rate as a multiple of that of the setting that the study chose.
        number: of the trial whose setting the study chose.
    """

    multiple: float
    number: int | None


def choose(
    appraisal: Appraisal, trials: pd.DataFrame, top: int, space: Mapping[str, Any] | None = None
) -> list[Chosen]:
    """The best settings of a study, each with its steps in learning rate, and the best of the others.

    They are of different cells, strategies or factors. The last one, their rival, has no steps: it is run to see
    whether it is the better one.

    Args:
        appraisal: of the runs of the study.
        trials: rows of ``trial_result`` of the study.
        top: how many settings, without their steps and their rival, at most.
        space: of the study, as JSON: where it has values, these are confirmed as they are.
    """
    multiples = [STEPS] * top + [STEPS[:1]]
    return best_settings(appraisal, trials, multiples, space or {})


def best_settings(
    appraisal: Appraisal, trials: pd.DataFrame, multiples: Sequence[Sequence[float]], space: Mapping[str, Any]
) -> list[Chosen]:
    """The best settings of a study, of different cells, strategies or factors, each at some learning rates.

    Args:
        appraisal: of the runs of the study.
        trials: rows of ``trial_result`` of the study.
        multiples: of the learning rate of each, the best setting first.
        space: of the study, as JSON.
    """
    factors = dict(zip(trials["number"], all_values(trials), strict=True))
    chosen: list[Chosen] = []
    for steps, best in zip(multiples, ranking(appraisal, len(multiples)), strict=False):
        number, found = int(best["number"]), (best["strategy"], or_none(best["threshold"]), best["learning_rate"])
        threshold, learning_rate = written(*found, space)
        chosen += [
            Chosen(
                cell=best["cell"],
                strategy=best["strategy"],
                threshold=threshold,
                learning_rate=float(learning_rate) if step == 1 else three_digits(learning_rate * step),
                multiple=step,
                number=number,
                factors=factors[number],
            )
            for step in steps
        ]
    return chosen


def confirmation_table(chosen: list[Chosen], trials: pd.DataFrame) -> pd.DataFrame:
    """How the fresh runs of each chosen setting fared.

    Args:
        chosen: the settings, in their order.
        trials: rows of ``trial_result`` of the confirmation.

    Returns:
        One row for each setting, with the attributes of ``Chosen`` and ``runs``, ``diverged``; ``rate_low`` and
        ``rate_high``, see ``anytime_interval``; ``validation_loss``, the mean of the trained runs, and ``loss``, that
        over all, of which a diverged one counts as untrained; the mean of each metric over the runs that have it.
    """
    table = pd.DataFrame([vars(setting) for setting in chosen]).astype({"threshold": float})
    table = in_words(table)
    table = table.merge(_by_setting(trials), how="left", on=[*SETTING, "factors"])
    table = table.fillna({"runs": 0, "diverged": 0}).astype({"runs": int, "diverged": int})
    counts = zip(table["diverged"], table["runs"], strict=True)
    intervals = [anytime_interval(int(diverged), int(runs), len(chosen)) for diverged, runs in counts]
    ends = pd.DataFrame(intervals, columns=["rate_low", "rate_high"], index=table.index)
    columns = [*COLUMNS[:2], "factors", *COLUMNS[2:]] if is_varied(table) else COLUMNS
    return table.join(ends)[[*columns, *metric_columns(table)]]


def _by_setting(trials: pd.DataFrame) -> pd.DataFrame:
    """How the runs of each setting fared together."""
    runs = with_metrics(judged(trials))
    runs = in_words(runs.assign(factors=pd.Series(all_values(runs), runs.index, dtype="object")))
    diverged = runs["outcome"] == "diverged"
    measured = runs.assign(
        diverged=diverged,
        trained_loss=runs["validation_loss"].where(runs["outcome"] == "trained"),
        loss=runs["validation_loss"].where(~diverged, runs["initial_validation_loss"]),
    )
    return measured.groupby([*SETTING, "factors"], dropna=False, as_index=False).agg(
        runs=("diverged", "size"),
        diverged=("diverged", "sum"),
        validation_loss=("trained_loss", "mean"),
        loss=("loss", "mean"),
        **means(runs),
    )


def is_settled(diverged: int, runs: int, settings: int, width: float) -> bool:
    """Whether the interval is at most ``width`` wide, or lies above what is acceptable: then it need not be narrow."""
    low, high = anytime_interval(diverged, runs, settings)
    return high - low <= width or low > ACCEPTABLE_UPPER_BOUND


def further_runs(diverged: int, runs: int, settings: int, width: float) -> int:
    """How many more runs of a setting settle it if they go on as before: all diverge, or none; 0 when it is settled."""
    if is_settled(diverged, runs, settings, width):
        return 0
    lost = runs > 0 and diverged / runs > ACCEPTABLE_UPPER_BOUND
    more = 1
    while more < LARGEST_ROUND and not is_settled(diverged + more * lost, runs + more, settings, width):
        more += 1
    return max(more, SMALLEST_ROUND)


def plan_round(table: pd.DataFrame, width: float, left: int) -> Mapping[int, int]:
    """How many runs of which setting come next.

    Args:
        table: see ``confirmation_table``.
        width: that the intervals are to have at most.
        left: how many runs may be made still; where they do not suffice, the first settings of the table get them.

    Returns:
        The number of runs by the setting's place in the table; empty when there is nothing more to do.
    """
    planned = {}
    for place, (diverged, runs) in enumerate(zip(table["diverged"], table["runs"], strict=True)):
        wanted = min(left, further_runs(int(diverged), int(runs), len(table), width))
        if wanted > 0:
            planned[place] = wanted
            left -= wanted
    return planned
