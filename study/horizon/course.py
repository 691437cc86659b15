"""The way of a study to its horizon: its own trials, then one rung after the other, whoever works on them."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING

from gradstudy.storage.database import Database
from gradstudy.storage.progress import has_ended
from gradstudy.storage.studies import StudyRecord
from gradstudy.storage.study_attributes import read_attribute, replace_attributes
from gradstudy.study.errors import NothingToExtendError
from gradstudy.study.spec.rungs import BEYOND, Rung, planned_rungs

if TYPE_CHECKING:
    from gradstudy.study.horizon.extension import Extension

RUNGS = "gradstudy:rungs"
"""Under this name a study says to which rungs it is extended, where that does not follow from its horizon."""


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """A part of the way: runs of one length.

    Attributes:
        steps: of each run.
        runs: that there are, or will be at most.
        settings: that have these runs, where they were chosen; 0 of the trials of the study itself.
        record: of the study of these runs; None as long as it has not begun.
    """

    steps: int
    runs: int
    settings: int
    record: StudyRecord | None


def horizon_rungs(study: StudyRecord) -> list[Rung]:
    """The rungs to the horizon of a study; none where it has no horizon."""
    spec = study.spec
    if spec.get("horizon") is None:
        return []
    return planned_rungs(int(spec["steps"]), int(spec["trials"]), int(spec["horizon"]))


def set_rungs(database: Database, study: StudyRecord, rungs: Sequence[Rung]) -> None:
    """Let a study be extended by these rungs, whoever works on it."""
    replace_attributes(database, study.study_id, [RUNGS], {RUNGS: [astuple(rung) for rung in rungs]})


def rungs_of(database: Database, study: StudyRecord) -> list[Rung]:
    """The rungs that a study is extended by; none where nobody asked for any."""
    kept = read_attribute(database, study.study_id, RUNGS)
    return horizon_rungs(study) if kept is None else [Rung(*rung) for rung in kept]


def stretches(database: Database, study: StudyRecord) -> list[Stretch]:
    """The whole way of a study: its own trials and every rung; one stretch where it has no rungs.

    Recorded runs are as long as they are, which the way does not tell: 0 steps.
    """
    way = [Stretch(steps=int(study.spec.get("steps", 0)), runs=study.budget, settings=0, record=study)]
    if not (rungs := rungs_of(database, study)):
        return way
    from gradstudy.study.horizon.extension import find_extensions  # which takes a second to load

    begun = {each.steps: each for each in find_extensions(database, study)}
    for rung in rungs:
        if (known := begun.get(rung.steps)) is None:
            way.append(Stretch(steps=rung.steps, runs=rung.paid, settings=rung.settings, record=None))
        else:
            runs, settings = known.record.budget, len(known.chosen)
            way.append(Stretch(steps=rung.steps, runs=runs, settings=settings, record=known.record))
    return way


def is_over(database: Database, way: Sequence[Stretch]) -> bool:
    """Whether every run of a way has ended."""
    return all(stretch.record is not None and has_ended(database.engine, stretch.record) for stretch in way)


def next_rung(database: Database, study: StudyRecord) -> "Extension | None":
    """The extension that has runs to be made, which is begun when all runs before it have ended.

    Any number of processes may ask for it at the same moment, on different machines.

    Returns:
        None as long as trials of the study itself have not ended, when all is done, and where nothing trained.

    Raises:
        StudyExistsError: the name of an extension is taken.
    """
    rungs = rungs_of(database, study)
    if not rungs or not has_ended(database.engine, study):
        return None
    from gradstudy.study.horizon.extension import find_extensions

    begun = {extension.steps: extension for extension in find_extensions(database, study)}
    aim = max(int(study.spec.get("horizon") or 0), rungs[-1].steps)
    before: list[Extension] = []
    for rung in rungs:
        extension = begun.get(rung.steps) or _begin(database, study, rung, before, aim)
        if extension is None or not has_ended(database.engine, extension.record):
            return extension
        before.append(extension)
    return None


def _begin(
    database: Database, study: StudyRecord, rung: Rung, before: "Sequence[Extension]", aim: int
) -> "Extension | None":
    """Begin a rung with the best settings of the study, or with those of the last rung that may be best at ``aim``."""
    import pandas as pd

    from gradstudy.storage.frames import read_trials
    from gradstudy.study.horizon.extension import begin_extension, first_settings
    from gradstudy.study.horizon.halving import survivors
    from gradstudy.study.horizon.rows import runs_to_predict

    if before:
        longer = [runs_to_predict(read_trials(database, each.record.name), study.spec) for each in before]
        runs = pd.concat([runs_to_predict(read_trials(database, study.name), study.spec), *longer])
        chosen = survivors(before[-1].chosen, runs, min(aim, BEYOND * before[-1].steps), rung.settings)
    else:
        try:
            chosen = first_settings(database, study, (rung.settings + 1) // 2)[: rung.settings]
        except NothingToExtendError:
            return None
    return begin_extension(database, study, chosen, rung.steps, rung.runs_of_each(len(chosen)))
