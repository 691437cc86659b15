"""What can go wrong with a study that its user can mend.

StudyError
├── SpecError          a spec that is not valid
├── SpecChangedError   a spec that differs from the stored one of the same name
├── DeviceError        a device that this machine does not have
├── BeyondHorizonError a horizon of which no run is long enough to tell
├── LogError           a training log that cannot be read, or has no loss
├── NothingToConfirmError a study without a setting to confirm
├── IdleOptionError    something was given that has no effect
├── NothingToExtendError  a study without a setting to train longer
├── NothingToMeasureError a probe all of whose runs diverge
├── NothingToRescueError a trial that no remedy can be tried on
├── ExternalStudyError  recorded runs where runs to be trained are needed, or the other way round
├── PackageMissingError a package that a callback or an export needs
├── RunDivergedError    a recorded run that has diverged, where its loop is to end
├── UnreadableStudyError a plain Optuna study of which it cannot be told what its parameters or objectives are
├── TrialNotFoundError a trial number that the study does not have
└── WorkFailedError    a study whose trials fail
    └── TrialsFailError by an exception of the user's code, with its traceback
"""


class StudyError(Exception):
    """Base of the errors of this room; its text is one sentence for the user."""


class SpecError(StudyError, ValueError):
    """A spec, or a part of it, is not valid."""


class SpecChangedError(StudyError):
    """The study exists with another spec."""


class DeviceError(StudyError, ValueError):
    """This machine cannot train on the device."""


class BeyondHorizonError(StudyError, ValueError):
    """A horizon is beyond what the longest run can tell of."""


class LogError(StudyError, ValueError):
    """A training log cannot be read, or has nothing like a loss."""


class NothingToConfirmError(StudyError):
    """No trial of the study trained, or it is itself a confirmation."""


class IdleOptionError(StudyError, ValueError):
    """Something was given that has no effect."""


class NothingToExtendError(StudyError):
    """No trial of the study trained, or longer training is not longer."""


class NothingToMeasureError(StudyError):
    """Every run of a probe diverged."""


class NothingToRescueError(StudyError):
    """The trial did not diverge, or not because of its training."""


class UnreadableStudyError(StudyError, ValueError):
    """What a plain Optuna study's parameters or objectives are cannot be told, or not by what was said about it."""


class ExternalStudyError(StudyError):
    """The runs of the study are recorded by their own programs, which nothing here can train; or they are not."""


class PackageMissingError(StudyError, ImportError):
    """A package that is no part of gradstudy is not installed."""


class RunDivergedError(StudyError):
    """A recorded run has diverged, and its loop was to end then."""


class TrialNotFoundError(StudyError, LookupError):
    """The study has no trial of that number, or it has no result yet."""


class WorkFailedError(StudyError):
    """Too many trials failed for reasons other than divergence."""


class TrialsFailError(WorkFailedError):
    """The user's code failed in one trial after the other."""

    def __init__(self, trials: int, traceback: str) -> None:
        """Show the traceback of the last of ``trials`` failures."""
        what = "a trial" if trials == 1 else f"{trials} trials, one after the other,"
        cause = traceback.rstrip()
        by = f"failed by an exception; the last one:\n\n{cause}" if "\n" in cause else f"failed: {cause}"
        super().__init__(f"{what} {by}")
