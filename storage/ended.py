"""How many trials have ended, kept as sums: whoever ends trials adds them in the same transaction.

So nobody reads a million rows to count them. A study has a row of sums for each of ``SHARES`` groups of its workers:
those who end trials at one moment do not wait for each other's commit, and to read is to add up so many rows.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast
from zlib import crc32

from sqlalchemy import Connection, Table, bindparam, func, insert, select, update

from gradstudy.storage.results import EXCLUDED, Outcome
from gradstudy.storage.schema import EndedTrials

SHARES = 16
"""Rows of sums for each study."""
SUMS = cast("Table", EndedTrials.__table__)
NAMES = (*map(str, Outcome), EXCLUDED)
"""What is counted, each in a column of that name."""
MARKS = "marks"
"""The column that tells which trials are excluded, and why."""

# Made once, as statements of every group of trials are.
ADDED = (
    update(SUMS)
    .where(SUMS.c.study_id == bindparam("of"), SUMS.c.share == bindparam("by"))
    .values({name: SUMS.c[name] + bindparam(f"new_{name}") for name in (*NAMES, MARKS)})
)
READ = select(SUMS.c.study_id, *(func.sum(SUMS.c[name]).label(name) for name in (*NAMES, MARKS))).group_by(
    SUMS.c.study_id
)


@dataclass(frozen=True)
class State:
    """What a trial is counted by.

    Attributes:
        outcome: None as long as it has not ended.
        excluded: why it counts nowhere; None where it counts.
        trial_id: of a trial that is excluded now or counts again; others need none.
    """

    outcome: Outcome | None
    excluded: str | None = None
    trial_id: int | None = None

    @property
    def name(self) -> str | None:
        """What it is counted as; None where it is not counted, as it has not ended."""
        return EXCLUDED if self.excluded is not None else self.outcome

    @property
    def mark(self) -> int:
        """What it adds to the marks."""
        return 0 if self.excluded is None else crc32(f"{self.trial_id} {self.excluded}".encode())


@dataclass(frozen=True, kw_only=True)
class Ended:
    """The trials of a study that have ended.

    Attributes:
        counts: how many there are of each outcome, and excluded ones, which are counted as that alone.
        marks: the same as before where the same trials are excluded for the same reasons.
    """

    counts: dict[str, int]
    marks: int

    @property
    def trials(self) -> int:
        """How many have ended, excluded ones among them."""
        return sum(self.counts.values())


NOTHING = Ended(counts=dict.fromkeys(NAMES, 0), marks=0)
"""Of a study in which nothing has ended."""


def begin_sums(connection: Connection, study_id: int) -> None:
    """Make the sums of a new study."""
    connection.execute(insert(SUMS), [{"study_id": study_id, "share": share} for share in range(SHARES)])


def add_changes(connection: Connection, study_id: int, worker_id: int, changed: Iterable[tuple[State, State]]) -> None:
    """Count trials that are changed in this transaction, whose rows it holds; the last thing that it does.

    Others wait for the sums until it is committed, and those who hold sums wait for nothing else.

    Args:
        connection: in the transaction.
        study_id: of the trials.
        worker_id: whose share they are added to.
        changed: of each, what it was and what it is.
    """
    added: Counter[str] = Counter()
    for before, after in changed:
        for state, one in ((before, -1), (after, 1)):
            added[MARKS] += one * state.mark
            if state.name is not None:
                added[state.name] += one
    if any(added.values()):
        values = {f"new_{name}": added[name] for name in (*NAMES, MARKS)}
        connection.execute(ADDED, {"of": study_id, "by": worker_id % SHARES, **values})


def read_ended(connection: Connection, studies: Sequence[int] | None = None) -> dict[int, Ended]:
    """The trials that have ended by ``study_id``, of some studies or all."""
    query = READ if studies is None else READ.where(SUMS.c.study_id.in_(studies))
    return {
        row["study_id"]: Ended(counts={name: int(row[name]) for name in NAMES}, marks=int(row[MARKS]))
        for row in connection.execute(query).mappings()
    }
