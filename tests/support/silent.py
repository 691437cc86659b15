"""A listener of workers that says nothing."""

from gradstudy.storage.results import TrialResult


class Silent:
    def started(self, ordinal: int) -> None:
        pass

    def finished(self, ordinal: int, result: TrialResult) -> None:
        pass

    def waiting(self, message: str) -> None:
        pass
