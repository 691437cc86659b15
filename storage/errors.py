"""What can go wrong with a database, each as one sentence without a password.

StorageError
├── UrlError (ValueError)          what was given is no database URL that can be used
├── NotFoundError (KeyError)       there is no such database or study
│   ├── PlainStudyError            there is a study, and gradstudy did not launch it
│   └── StudyDeletedError          the study was deleted while it was worked on
├── ForeignDatabaseError           there is something, and it is not gradstudy's
│   └── PlainDatabaseError         these are Optuna studies, none of which gradstudy launched
├── DamagedError                   the file is broken
├── SchemaVersionError             the tables were made by another version
├── UnwritableError (OSError)      the file or folder cannot be written
├── NetworkFilesystemError         SQLite's file lies where its locks do not hold
├── ExtraMissingError              an optional package is not installed
├── UnavailableError (OSError)     the database does not answer, is locked or is full
│   └── BeingMadeError             another process is making its tables
├── StudyExistsError (ValueError)  the name is taken
├── NotEndedError (ValueError)     the trial has no result yet
├── ArchiveError                   archived steps cannot be written or read
├── ClaimLostError                 the run is not its program's any more
└── QueryError                     a read-only query cannot be answered
    ├── WriteRefusedError          it would have changed the database
    └── QueryTimeoutError (TimeoutError)
"""


class StorageError(Exception):
    """The base of every error that `gradstudy.storage` raises on purpose."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence

    def __str__(self) -> str:
        """Return the sentence as it is: KeyError would put it in quotes."""
        return self.sentence


class UrlError(StorageError, ValueError):
    """What was given is not a database URL, or no driver for it is installed."""


class NotFoundError(StorageError, KeyError):
    """There is no such database or study."""


class PlainStudyError(NotFoundError):
    """The study was made by another program, without a spec."""


class StudyDeletedError(NotFoundError):
    """The study that is worked on is gone; another one may have its name or its number."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the study '{name}' was deleted, so its worker stops")


class ForeignDatabaseError(StorageError):
    """The file or database holds something else than gradstudy's studies."""


class PlainDatabaseError(ForeignDatabaseError):
    """The database holds Optuna studies, none of which gradstudy launched."""


class DamagedError(StorageError):
    """What is in the SQLite file is not what was written to it."""


class SchemaVersionError(StorageError):
    """The tables are older or newer than this version of gradstudy or Optuna."""


class UnwritableError(StorageError, OSError):
    """The database file or its folder cannot be written."""


class NetworkFilesystemError(StorageError):
    """SQLite's file lies on a network filesystem, where its locks do not hold."""


class ExtraMissingError(StorageError):
    """What was asked for needs a package that is not installed."""


class UnavailableError(StorageError, OSError):
    """The database does not answer, stayed locked, or is full."""


class BeingMadeError(UnavailableError):
    """Another process is making the tables of the database."""


class StudyExistsError(StorageError, ValueError):
    """A study of that name exists already."""


class NotEndedError(StorageError, ValueError):
    """The trial has not ended."""


class ArchiveError(StorageError):
    """A file of archived steps is not there, cannot be written, or is not what it should be."""


class ClaimLostError(StorageError):
    """A run that its own program records was deleted, or is another's."""


class QueryError(StorageError):
    """A query that cannot be answered as it is written."""


class WriteRefusedError(QueryError):
    """The database refused a statement that would have changed something."""


class QueryTimeoutError(QueryError, TimeoutError):
    """The query took longer than it was allowed to."""
