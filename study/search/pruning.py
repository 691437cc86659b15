"""Ending trials that fall behind: Optuna's pruners, asked at rungs of a trial's budget."""

import optuna
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner

from gradstudy.storage.optuna_internals import storage_of
from gradstudy.study.spec.study_spec import StudySpec

RUNGS = 10
"""How often a trial is judged, at most: a report costs some milliseconds of the database."""
FEWEST_TRIALS = 5
"""That have come as far, before the median prunes."""
REDUCTION = 3
"""Of the trials of a bracket, hyperband lets one of so many go on to the next rung."""


def steps_between_rungs(spec: StudySpec) -> int:
    """Training steps from one judgement to the next."""
    return max(1, spec.steps // RUNGS)


def make_pruner(spec: StudySpec) -> BasePruner:
    """The spec's pruner. Steps are those of the rungs, values the smoothed training loss."""
    rung = steps_between_rungs(spec)
    match spec.pruner:
        case "none":
            return NopPruner()
        case "median":
            return MedianPruner(n_startup_trials=FEWEST_TRIALS, n_min_trials=FEWEST_TRIALS)
        case "hyperband":
            return HyperbandPruner(min_resource=rung, max_resource=spec.steps, reduction_factor=REDUCTION)


def falls_behind(study: optuna.Study, trial_id: int, step: int, smoothed_loss: float) -> bool:
    """Report a trial's loss at a rung and ask whether to prune it; a trial that is run again reports anew."""
    # Trial.report refuses a step that an earlier attempt has reported.
    storage = storage_of(study)
    storage.set_trial_intermediate_value(trial_id, step, smoothed_loss)
    return study.pruner.prune(study, storage.get_trial(trial_id))
