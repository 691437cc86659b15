"""Trials that wait with their setting before anybody has claimed them: replicates, and runs of chosen settings."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from sqlalchemy import Connection, Engine, insert, select, update

from gradstudy.storage.bins import half_decade
from gradstudy.storage.errors import StudyDeletedError
from gradstudy.storage.schema import TRIAL, Study
from gradstudy.storage.studies import StudyRecord, is_study
from gradstudy.storage.transactions import writing


@dataclass(frozen=True, kw_only=True)
class SettingRow:
    """A setting as the database holds it.

    Attributes:
        cell: such as lstm or gru.
        strategy: clipping strategy.
        threshold: in the strategy's unit; None where it has none.
        learning_rate: of the optimizer.
        factors: what else the study varies or searches.
    """

    cell: str
    strategy: str
    threshold: float | None
    learning_rate: float
    factors: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """The setting of a row of ``gradstudy_trial`` or ``trial_result``, as the database or a frame gives it."""
        threshold = row["threshold"]
        return cls(
            cell=row["cell"],
            strategy=row["strategy"],
            threshold=None if threshold is None or math.isnan(threshold) else float(threshold),
            learning_rate=float(row["learning_rate"]),
            factors={**(row["factors"] or {}), **row.get("searched", {})},
        )

    def columns(self) -> dict[str, Any]:
        """The columns of ``gradstudy_trial`` that hold it."""
        return {
            "cell": self.cell,
            "strategy": self.strategy,
            "threshold": self.threshold,
            "threshold_bin": half_decade(self.threshold),
            "learning_rate": self.learning_rate,
            "learning_rate_bin": half_decade(self.learning_rate),
            "factors": self.factors,
        }


def enqueue_replicates(
    connection: Connection, study_id: int, settings: Sequence[tuple[SettingRow, Mapping[int, int]]]
) -> None:
    """Put in the replicates of settings that are not there yet.

    Args:
        connection: in the transaction that gives the first of each its setting.
        study_id: which study.
        settings: each with the seeds of the places in the budget that share it, by ordinal.
    """
    placed = {ordinal: (seed, setting) for setting, seeds in settings for ordinal, seed in seeds.items()}
    if placed:
        known = select(TRIAL.c.ordinal).where(TRIAL.c.study_id == study_id, TRIAL.c.ordinal.in_(list(placed)))
        missing = sorted(set(placed) - set(connection.scalars(known)))
        _put_in(connection, study_id, [(ordinal, *placed[ordinal]) for ordinal in missing])


def enqueue_trials(engine: Engine, study: StudyRecord, runs: Sequence[tuple[SettingRow, int]]) -> bool:
    """Let a study whose budget is used up grow by runs of chosen settings.

    Args:
        engine: of the database.
        study: which study, with the budget that it has so far.
        runs: the setting and the seed of each.

    Returns:
        Whether they were put in; False when the budget is another one meanwhile: then somebody else put in theirs, or
        the study was deleted.
    """
    budget = study.budget
    grown = update(Study).where(is_study(study), Study.budget == budget).values(budget=budget + len(runs))
    with writing(engine) as connection:
        if connection.execute(grown).rowcount != 1:
            return False
        placed = [(budget + place, seed, setting) for place, (setting, seed) in enumerate(runs)]
        _put_in(connection, study.study_id, placed)
    return True


def enqueue_chosen(
    engine: Engine,
    study: StudyRecord,
    settings: Sequence[SettingRow],
    seed_of: Callable[[int], int],
    *,
    places: int,
    replicates: int,
) -> list[SettingRow]:
    """Let a study grow by runs of chosen settings, which come before all that nobody has claimed yet.

    They lie behind the places of the sampler, which are the same with them and without. A setting that has runs gets no
    others, so that the same command can be given again.

    Args:
        engine: of the database.
        study: which study.
        settings: that were chosen.
        seed_of: gives the seed of an ordinal.
        places: of the budget that the sampler has.
        replicates: how many runs each setting has.

    Returns:
        Those that were put in.

    Raises:
        StudyDeletedError: the study is not there any more.
    """
    with writing(engine) as connection:
        budget = connection.scalar(select(Study.budget).where(is_study(study)).with_for_update())
        if budget is None:
            raise StudyDeletedError(study.name)
        of_study = select(*TRIAL.c).where(TRIAL.c.study_id == study.study_id)
        rows = [dict(row) for row in connection.execute(of_study).mappings()]
        known = [SettingRow.of(row) for row in rows if row["cell"] is not None]
        new = [setting for place, setting in enumerate(settings) if setting not in [*known, *settings[:place]]]
        first = max([places, *(row["ordinal"] + 1 for row in rows)])
        placed = [
            (setting, first + place) for place, setting in enumerate(each for each in new for _ in range(replicates))
        ]
        _put_in(connection, study.study_id, [(ordinal, seed_of(ordinal), setting) for setting, ordinal in placed])
        connection.execute(update(Study).where(is_study(study)).values(budget=budget + len(placed)))
    return new


def _put_in(connection: Connection, study_id: int, runs: Sequence[tuple[int, int, SettingRow]]) -> None:
    rows = [
        {"study_id": study_id, "ordinal": ordinal, "seed": seed, "attempt": 1, "steps": 0, **setting.columns()}
        for ordinal, seed, setting in runs
    ]
    if rows:
        connection.execute(insert(TRIAL), rows)
