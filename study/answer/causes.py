"""What is at fault where no setting is: data, loss, a single batch."""

from collections.abc import Iterator

import pandas as pd

from gradstudy.study.statistics.rates import judged
from gradstudy.study.wording import counted, not_finite

NON_FINITE = ("non_finite_loss", "non_finite_gradient")
FEWEST_ALIKE = 5
"""Runs that end at one step, for that to be no coincidence."""
APART = 10.0
"""How many times the largest of their learning rates is the smallest, at least: a setting would show by then."""


def causes(trials: pd.DataFrame) -> list[str]:
    """What of a study's trials, rows of ``trial_result``, speaks of other causes than the settings; a sentence each."""
    return [*_untrained(trials), *_validation(trials), *_one_step(trials)]


def _untrained(trials: pd.DataFrame) -> Iterator[str]:
    runs = trials[trials["reason"] == "untrained_not_finite"]
    if runs.empty:
        return
    measured = {"training": "initial_loss", "validation": "initial_validation_loss"}
    bad = [name for name, column in measured.items() if runs[column].isna().any()]
    yield (
        f"In {counted(len(runs), 'trial')} {not_finite(bad)}: look at the {bad[0]} data and the loss; no learning "
        "rate, threshold or strategy mends that."
    )


def _validation(trials: pd.DataFrame) -> Iterator[str]:
    runs = judged(trials)
    bad = runs[(runs["outcome"] != "diverged") & runs["validation_loss"].isna()]
    if bad.empty:
        return
    yield (
        f"The validation loss of {counted(len(bad), 'run')} is not finite although the training loss is: look at the "
        "validation data; such runs cannot be ranked."
    )


def _one_step(trials: pd.DataFrame) -> Iterator[str]:
    """Runs of very different learning rates that all stop at one step stop at a batch."""
    runs = judged(trials)
    ended = runs[runs["reason"].isin(NON_FINITE)]
    steps, rates = ended["diverged_at_step"].unique(), ended["learning_rate"]
    if (
        len(ended) >= FEWEST_ALIKE
        and len(ended) == len(runs)
        and len(steps) == 1
        and rates.max() >= APART * rates.min()
    ):
        yield (
            f"Every run ended at step {int(steps[0])}, whatever its learning rate: look at the batch of that step "
            "rather than at the setting."
        )
