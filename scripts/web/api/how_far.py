"""How far studies are."""

from collections.abc import Sequence

from gradstudy.scripts.web.api.messages import SetAside, Stretch, Study, Workers
from gradstudy.storage.database import Database
from gradstudy.storage.progress import REMAINING, RUNNING, count_outcomes
from gradstudy.storage.set_aside import Reason, reasons
from gradstudy.storage.studies import StudyRecord
from gradstudy.storage.workers import living_workers
from gradstudy.study.horizon import course
from gradstudy.study.search.phases import phase_name
from gradstudy.study.spec.study_spec import stored_spec

RECORDED = "recorded"
"""The task of a study whose runs their own programs record."""


def how_far(database: Database, records: Sequence[StudyRecord]) -> list[Study]:
    """How far studies are, in their order."""
    living = living_workers(database.engine)
    workers = [Workers(host=host, device=device, count=count) for (host, device), count in living.items()]
    set_aside = reasons(database.engine)
    return [_study(database, record, set_aside.get(record.study_id, []), workers) for record in records]


def _study(database: Database, record: StudyRecord, set_aside: Sequence[Reason], workers: list[Workers]) -> Study:
    counts = count_outcomes(database.engine, record)
    way = [_stretch(database, stretch) for stretch in course.stretches(database, record)]
    is_open = any(stretch.trials is None or is_under_way(stretch.trials) for stretch in way)
    phase = None
    if is_under_way(counts) and not record.is_external:
        phase = phase_name(stored_spec(record), record.budget - counts[REMAINING])
    elif is_open:
        begun = [stretch.steps for stretch in way if stretch.trials is not None]
        phase = f"{begun[-1]:,} of {way[-1].steps:,} steps"
    return Study(
        name=record.name,
        task=record.spec.get("task", RECORDED),
        launched=record.created_at,
        budget=record.budget,
        trials=counts,
        is_open=is_open,
        phase=phase,
        way=way,
        set_aside=[
            SetAside(host=reason.host, reason=reason.text, waits_for_code=reason.code is not None)
            for reason in set_aside
        ],
        workers=workers,
    )


def is_under_way(trials: dict[str, int]) -> bool:
    """Whether trials are left to be made, or to end."""
    return trials[REMAINING] + trials[RUNNING] > 0


def _stretch(database: Database, stretch: course.Stretch) -> Stretch:
    trials = None if stretch.record is None else count_outcomes(database.engine, stretch.record)
    return Stretch(steps=stretch.steps, runs=stretch.runs, trials=trials)
