"""What can go wrong with a study that its user can mend.

StudyError
├── SpecError          a spec that is not valid
├── SpecChangedError   a spec that differs from the stored one of the same name
├── DeviceError        a device that this machine does not have
├── NothingToConfirmError a study without a setting to confirm
├── NothingToMeasureError a probe all of whose runs diverge
├── TrialNotFoundError a trial number that the study does not have
└── WorkFailedError    a study whose trials fail
"""


class StudyError(Exception):
    """Base of the errors of this room; its text is one sentence for the user."""


class SpecError(StudyError, ValueError):
    """A spec, or a part of it, is not valid."""


class SpecChangedError(StudyError):
    """The study exists with another spec."""


class DeviceError(StudyError, ValueError):
    """This machine cannot train on the device."""


class NothingToConfirmError(StudyError):
    """No trial of the study trained, or it is itself a confirmation."""


class NothingToMeasureError(StudyError):
    """Every run of a probe diverged."""


class TrialNotFoundError(StudyError, LookupError):
    """The study has no trial of that number, or it has no result yet."""


class WorkFailedError(StudyError):
    """Too many trials failed for reasons other than divergence."""
