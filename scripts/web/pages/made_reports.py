"""Reports as pages: made one after the other in a thread of their own, and kept until their studies have changed."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

REST = 3.0
"""How long no report of a study is begun after one was made, as a multiple of what that took: others run, too."""

MOST_PAGES = 20
"""How many are kept, those that were asked for last."""


@dataclass(frozen=True, kw_only=True)
class MadeReport:
    """A report as a page.

    Attributes:
        version: of what it was made from, see ``gradstudy.study.report.report_version``.
        page: the HTML before and after the place for what changes without a new report.
        at: when it was made, UTC.
        ended: when it was ready, as ``time.monotonic`` counts.
        seconds: that it took.
    """

    version: str
    page: tuple[str, str]
    at: datetime
    ended: float
    seconds: float


Make = Callable[[], tuple[str, tuple[str, str]]]
"""Makes a report anew; returns its version and its page."""


class MadeReports:
    """Keeps reports; used within a ``with``."""

    def __init__(self) -> None:
        """Nothing is made yet."""
        self._lock = threading.Lock()
        self._made: OrderedDict[str, MadeReport] = OrderedDict()
        self._making: dict[str, Future[None]] = {}
        self._maker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="report-maker")

    def get(self, key: str, version: str, make: Make, patience: float) -> MadeReport | None:
        """The report of a study; one of before while a new one is made, None where there is none yet.

        Args:
            key: of the study, which no other has.
            version: that it should have; where the one that is kept has another, a new one is begun.
            make: how.
            patience: how many seconds to wait for it.

        Raises:
            Exception: why it could not be made.
        """
        with self._lock:
            known = self._made.get(key)
            if known is not None:
                self._made.move_to_end(key)
                if known.version == version:
                    return known
            making = self._making.get(key)
            if making is None and (known is None or time.monotonic() - known.ended >= REST * known.seconds):
                making = self._making[key] = self._maker.submit(self._make, key, make)
        if making is not None and making in wait([making], patience).done:
            with self._lock:
                if self._making.get(key) is making:
                    del self._making[key]
            making.result()
            with self._lock:
                return self._made.get(key)
        return known

    def _make(self, key: str, make: Make) -> None:
        begun = time.monotonic()
        version, page = make()
        ended = time.monotonic()
        made = MadeReport(version=version, page=page, at=datetime.now(UTC), ended=ended, seconds=ended - begun)
        with self._lock:
            self._made[key] = made
            if len(self._made) > MOST_PAGES:
                self._made.popitem(last=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, where: TracebackType | None
    ) -> None:
        self._maker.shutdown(cancel_futures=True)
