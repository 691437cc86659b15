"""The rungs to train on when somebody asks for longer runs."""

from gradstudy.storage.database import Database
from gradstudy.storage.studies import StudyRecord
from gradstudy.study.errors import IdleOptionError, NothingToExtendError
from gradstudy.study.horizon.course import horizon_rungs
from gradstudy.study.horizon.extension import find_extensions, first_settings
from gradstudy.study.spec.rungs import Rung, wanted_rungs
from gradstudy.study.spec.study_spec import stored_spec

TIMES = 16
"""Steps of the longest runs where none are given, as a multiple of the study's."""
TOP, RUNS = 6, 2
"""Settings, and runs of each, where none are given."""


def asked_rungs(
    database: Database, study: StudyRecord, steps: int | None, top: int | None, runs: int | None
) -> list[Rung]:
    """The rungs to the number of steps that was given, else to the horizon of the study, else to 16 times its steps.

    Args:
        database: that holds the study.
        study: to be extended.
        steps: of the longest runs.
        top: settings, each at half its learning rate, too.
        runs: of each setting.

    Raises:
        IdleOptionError: what was given has no effect.
        NothingToExtendError: the steps are not more than the study's, or no trial of it trained.
    """
    short = stored_spec(study).steps
    rungs = horizon_rungs(study) if steps is None else []
    for option, given in (("top", top), ("runs", runs)):
        if rungs and given is not None:
            raise IdleOptionError(
                f"--{option} has no effect: study {study.name!r} goes to its horizon of {study.spec['horizon']:,} "
                "steps, and its budget says how many runs that takes; --steps N goes somewhere else"
            )
    longest = TIMES * short if steps is None else steps
    if longest <= short:
        raise NothingToExtendError(
            f"study {study.name!r} trained {short:,} steps: --steps must be more, but got {longest:,}"
        )
    if not find_extensions(database, study):
        first_settings(database, study, 1)  # what there is not is said before anything is changed
    return rungs or wanted_rungs(short, longest, TOP if top is None else top, RUNS if runs is None else runs)
