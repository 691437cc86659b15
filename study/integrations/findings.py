"""What a plain Optuna study says: its parameters, its losses, and how its trials ended."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from gradstudy.storage.plain_studies import PlainRecord
from gradstudy.study.errors import UnreadableStudyError
from gradstudy.study.integrations.further_parameters import FurtherParameters, sort_further
from gradstudy.study.integrations.outcomes import (
    Ended,
    failures_are_divergences,
    infeasible,
    judge,
    told,
    with_far_ends,
)
from gradstudy.study.integrations.parameters import Parameters, find_parameters
from gradstudy.study.integrations.reading import Reading
from gradstudy.study.integrations.reference import Losses, Reference, find_losses, known_reference, worst_end

LOSS_NAMES = ("loss", "error", "nll", "perplexity", "ppl", "mse", "mae", "rmse")
"""Words in the names of objectives that are losses."""


@dataclass(frozen=True, kw_only=True)
class Findings:
    """A plain study, understood.

    Attributes:
        plain: the study.
        objective: the place of the objective that is reported.
        trials: that are reported: those with a learning rate that violate no constraint.
        parameters: which ones are learning rate, threshold, strategy and cell; None where no trial has any.
        further: the others.
        losses: of the trials.
        reference: what a diverged run counts as.
        ended: how the trials ended.
        untold: how many of them left nothing that tells why they failed.
        failures: what they count as.
        said: whether a person said so.
        unreadable: how many trials have no learning rate.
        infeasible: the constraints that trials violate, by their numbers.
    """

    plain: PlainRecord
    objective: int
    trials: Sequence[FrozenTrial]
    parameters: Parameters | None
    further: FurtherParameters
    losses: Losses
    reference: Reference
    ended: Sequence[Ended]
    untold: int
    failures: str
    said: bool
    unreadable: int
    infeasible: Mapping[int, Sequence[str]]

    @property
    def is_maximized(self) -> bool:
        """Whether losses are negative objectives."""
        return self.losses.sign < 0


def find(plain: PlainRecord, reading: Reading) -> Findings:
    """Understand a study.

    Args:
        plain: the study.
        reading: what a person says about it.

    Raises:
        UnreadableStudyError: its learning rate or its objective cannot be told.
    """
    objective = find_objective(plain, reading.objective)
    begun = [trial for trial in plain.trials if trial.state is not TrialState.WAITING and trial.params]
    parameters = find_parameters(begun, reading.axes, plain.name) if begun else None
    rates = {trial.number: parameters.learning_rate(trial.params) for trial in begun} if parameters else {}
    known = [trial for trial in begun if rates[trial.number] is not None]
    violating = {trial.number: names for trial in known if (names := infeasible(trial))}
    trials = [trial for trial in known if trial.number not in violating]
    losses = find_losses(trials, objective, maximized=plain.directions[objective] is StudyDirection.MAXIMIZE)
    of_trials = [rates[trial.number] or math.nan for trial in trials]
    reference = known_reference(trials, losses, of_trials, reading.untrained)
    ended = [judge(trial, losses, reference) for trial in trials]
    if reference is None:
        ended = with_far_ends(ended, of_trials)
        reference = worst_end([each.loss for each in ended if each.outcome == "trained"])
    by_rate = failures_are_divergences(ended, of_trials)
    failures = reading.failures or ("diverged" if by_rate else "failed")
    return Findings(
        plain=plain,
        objective=objective,
        trials=trials,
        parameters=parameters,
        further=sort_further(trials, parameters.used if parameters else ()),
        losses=losses,
        reference=reference,
        ended=[told(each, diverged=failures == "diverged") for each in ended],
        untold=sum(each.is_untold for each in ended),
        failures=failures,
        said=reading.failures is not None,
        unreadable=len(begun) - len(known),
        infeasible=violating,
    )


def find_objective(plain: PlainRecord, given: str | int | None) -> int:
    """The place of the objective that is reported: as given, or the first that is minimised and called a loss.

    Raises:
        UnreadableStudyError: there is no such objective, or several might be meant.
    """
    count, names = len(plain.directions), plain.objectives
    shown = ", ".join(f"{place} ({name})" for place, name in enumerate(names)) or f"0 to {count - 1}"
    if given is not None:
        place = names.index(str(given)) if str(given) in names else int(given) if str(given).isdecimal() else count
        if place >= count:
            raise UnreadableStudyError(
                f"study {plain.name!r} has no objective {given!r}: accepted {'is 0' if count == 1 else f'are {shown}'}"
            )
        return place
    if count == 1:
        return 0
    for place, name in enumerate(names):
        is_loss = any(word in name.lower() for word in LOSS_NAMES)
        if is_loss and plain.directions[place] is StudyDirection.MINIMIZE:
            return place
    raise UnreadableStudyError(
        f"study {plain.name!r} has {count} objectives, and none is called a loss: say which one is to be reported, "
        f"--objective N with N one of {shown}"
    )
