"""States of trials that take long: where a worker is lost, the next goes on from the last one."""

from collections.abc import Sequence
from itertools import groupby

from sqlalchemy import Connection, Engine, delete, insert, select, update

from gradstudy.storage.claims import Claim, still_owned
from gradstudy.storage.schema import Checkpoint, Trial
from gradstudy.storage.transactions import reading, writing

KEPT = 2
"""Checkpoints of a trial, the last ones."""
PART = 2**22
"""Bytes of one row: servers refuse packets that are much larger."""
LARGEST = 2**26
"""Bytes of a state; a larger one is not kept."""


def save_checkpoint(engine: Engine, claim: Claim, step: int, state: bytes) -> bool:
    """Keep the state of a trial after so many steps, in place of the oldest one; its losses are forgotten.

    Returns:
        Whether it was kept: not when the trial belongs to another worker by now, or the state is too large.
    """
    if len(state) > LARGEST:
        return False
    rows = [
        {"id": claim.id, "step": step, "part": part, "state": state[first : first + PART]}
        for part, first in enumerate(range(0, len(state), PART))
    ]
    with writing(engine) as connection:
        values = {"steps": step, "failures": 0, "losses": 0, "lost_at": None}
        if connection.execute(update(Trial).where(still_owned(claim)).values(values)).rowcount != 1:
            return False
        known = connection.scalars(select(Checkpoint.step).where(Checkpoint.id == claim.id).distinct()).all()
        old = sorted({*known, step}, reverse=True)[KEPT:]
        of_trial = Checkpoint.id == claim.id
        connection.execute(delete(Checkpoint).where(of_trial, Checkpoint.step.in_([*old, step])))
        connection.execute(insert(Checkpoint), rows)
    return True


def read_checkpoints(engine: Engine, claim: Claim) -> list[tuple[int, bytes]]:
    """The steps and states of a trial that are kept, the last first."""
    query = select(Checkpoint.step, Checkpoint.state).where(Checkpoint.id == claim.id)
    with reading(engine) as connection:
        rows = connection.execute(query.order_by(Checkpoint.step.desc(), Checkpoint.part)).all()
    return [(step, b"".join(row.state for row in parts)) for step, parts in groupby(rows, lambda row: row.step)]


def tell_steps(engine: Engine, steps: list[tuple[Claim, int]]) -> None:
    """Write down how far trials are, so that it is known where they were if their worker is lost."""
    with writing(engine) as connection:
        for claim, step in steps:
            connection.execute(update(Trial).where(still_owned(claim)).values(steps=step))


def discard_checkpoints(connection: Connection, trials: Sequence[int]) -> None:
    """Forget the states of trials that have ended, by the ``id`` of their rows."""
    if trials:
        connection.execute(delete(Checkpoint).where(Checkpoint.id.in_(trials)))
