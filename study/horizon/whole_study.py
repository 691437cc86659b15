"""A study with the studies that belong to it: its longer runs, and the fresh runs that confirm it."""

from gradstudy.storage.database import Database
from gradstudy.storage.ending import begin_no_more
from gradstudy.storage.studies import StudyRecord, delete_study, list_extensions
from gradstudy.study.answer.confirmation_study import find_confirmation
from gradstudy.study.horizon.course import rungs_of, set_rungs
from gradstudy.study.horizon.extension import find_extensions


def stop_whole(database: Database, study: StudyRecord) -> None:
    """Let nothing further of a study begin, for good; trials that have begun are trained to their end.

    Raises:
        StudyDeletedError: the study is not there any more.
    """
    _keep_begun_rungs(database, study)  # first, so that nobody begins another one meanwhile
    for record in [study, *_beside(database, study)]:
        begin_no_more(database, record, int(record.spec.get("seeds", 1)))
    _keep_begun_rungs(database, study)  # of some, no run had begun


def delete_whole(database: Database, study: StudyRecord) -> None:
    """Delete a study and everything of it.

    Raises:
        NotFoundError: it is not there any more.
    """
    for record in [*_beside(database, study), study]:
        delete_study(database, record.name)


def _beside(database: Database, study: StudyRecord) -> list[StudyRecord]:
    confirmation = find_confirmation(database, study)
    return [*([] if confirmation is None else [confirmation.record]), *list_extensions(database, study)]


def _keep_begun_rungs(database: Database, study: StudyRecord) -> None:
    begun = {extension.steps for extension in find_extensions(database, study)}
    rungs = rungs_of(database, study)
    kept = [rung for rung in rungs if rung.steps in begun]
    if kept != rungs:
        set_rungs(database, study, kept)
