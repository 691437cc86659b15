"""A study with the studies that belong to it: its longer runs, and the fresh runs that confirm it."""

from gradstudy.storage.database import Database
from gradstudy.storage.ending import begin_no_more
from gradstudy.storage.studies import StudyRecord, delete_study, list_extensions
from gradstudy.study.answer.confirmation_study import find_confirmation
from gradstudy.study.horizon.course import rungs_of, set_rungs


def stop_whole(database: Database, study: StudyRecord) -> None:
    """Let nothing further of a study begin, for good; trials that have begun are trained to their end.

    Raises:
        StudyDeletedError: the study is not there any more.
    """
    extensions = list_extensions(database, study)
    begun = {int(extension.spec["steps"]) for extension in extensions if extension.budget}
    rungs = rungs_of(database, study)
    if any(rung.steps not in begun for rung in rungs):
        set_rungs(database, study, [rung for rung in rungs if rung.steps in begun])
    for record in [study, *_beside(database, study)]:
        begin_no_more(database, record, int(record.spec.get("seeds", 1)))


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
