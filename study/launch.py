"""Creating a study, or opening the one that has the same spec."""

from importlib.metadata import version

from gradstudy.storage.database import Database
from gradstudy.storage.errors import NotFoundError
from gradstudy.storage.studies import StudyRecord, Versions, create_study, find_study
from gradstudy.study.errors import SpecChangedError
from gradstudy.study.spec import StudySpec, differences, parse_spec


def stored_spec(record: StudyRecord) -> StudySpec:
    """The spec that a study was created with."""
    return parse_spec(record.spec)


def create_or_resume(database: Database, spec: StudySpec) -> StudyRecord:
    """The study of the spec's name, made if there is none.

    Raises:
        SpecChangedError: there is a study of that name with another spec; the text lists what differs.
    """
    try:
        record = find_study(database, spec.name)
    except NotFoundError:
        versions = Versions(gradstudy=version("gradstudy"), optuna=version("optuna"), torch=version("torch"))
        create_study(database, spec.name, spec.model_dump(mode="json"), spec.trials, versions)
        return find_study(database, spec.name)
    changed = differences(stored_spec(record), spec)
    if changed:
        raise SpecChangedError(
            f"the study {spec.name!r} exists with another spec (stored -> given): {'; '.join(changed)}; "
            "run `gradstudy launch NAME` without options to resume it, or choose another name"
        )
    return record
