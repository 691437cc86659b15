"""Whether the budget of a study reaches far enough to say something at its horizon."""

from math import ceil

from gradstudy.models.tasks.catalogue import find_task
from gradstudy.models.tasks.module_task import is_module_task
from gradstudy.study.spec.rungs import BEYOND, longest_paid

MORE = 1.02
"""Steps in which a budget that would do is looked for."""


def check_horizon(horizon: int | None, task: str, steps: int, trials: int, seeds: int) -> None:
    """Raise ValueError unless a horizon is longer than the study's trials, and its budget says something there.

    Args:
        horizon: steps that the answer is for; None where that is ``steps``.
        task: of the study: where it forecasts, a horizon is something else, too.
        steps: of each trial.
        trials: of the study.
        seeds: that ``trials`` is a multiple of.
    """
    if horizon is None:
        return
    if horizon <= steps:
        rows = f"; {horizon} rows to forecast are --forecast {horizon}" if _forecasts(task) else ""
        raise ValueError(f"horizon must be above steps, which is {steps:,}, but got {horizon:,}{rows}")
    if _reaches(horizon, steps, trials):
        return
    longest, enough = longest_paid(steps, trials), trials
    while not _reaches(horizon, steps, enough):
        enough = ceil(enough * MORE)
    wanted = f"{ceil(enough / seeds) * seeds:,} trials would do"
    if longest <= steps:
        raise ValueError(f"horizon needs more trials than {trials:,} to pay for any longer run; {wanted}")
    raise ValueError(
        f"horizon must be at most {BEYOND} times the longest runs that the budget pays: {trials:,} trials of {steps:,} "
        f"steps pay for runs of {longest:,} steps, and so for a horizon of {BEYOND * longest:,}, but got {horizon:,}; "
        f"{wanted}"
    )


def _reaches(horizon: int, steps: int, trials: int) -> bool:
    longest = longest_paid(steps, trials)
    return longest > steps and horizon <= BEYOND * longest


def _forecasts(task: str) -> bool:
    return not is_module_task(task) and any(option.name == "horizon" for option in find_task(task)[0].options)
