"""What workers work on: a study in a database, with what it trains on."""

from dataclasses import dataclass
from typing import Self

from gradstudy.models.trainable import Trainable
from gradstudy.storage.database import Database
from gradstudy.storage.studies import StudyRecord
from gradstudy.study.spec.study_spec import StudySpec, stored_spec
from gradstudy.study.training.data import load_data


@dataclass(frozen=True)
class Job:
    """A study to be worked on; by whom, how many and where is another matter.

    Attributes:
        database: that holds the study.
        record: of the study.
        spec: that it was launched with.
        data: of its task; of a study that varies the task's options, see ``load_data``.
    """

    database: Database
    record: StudyRecord
    spec: StudySpec
    data: Trainable

    @classmethod
    def of(cls, database: Database, record: StudyRecord, data: Trainable | None = None) -> Self:
        """The job that a study is; its data are loaded unless they are given.

        Raises:
            TaskError: the data cannot be loaded; and whatever else ``load_data`` raises.
        """
        spec = stored_spec(record)
        return cls(database, record, spec, load_data(spec) if data is None else data)
