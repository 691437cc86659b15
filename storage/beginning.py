"""Beginning trials that were claimed: each gets its setting and its trial of Optuna's, all in one transaction.

So Optuna has no trial that nobody runs, however a worker ends.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from gradstudy.storage.claims import ROW, Claim, lock_owned, update_rows
from gradstudy.storage.optuna_rows import DraftRows, create_trials
from gradstudy.storage.queue import SettingRow, enqueue_replicates
from gradstudy.storage.transactions import writing

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial


@dataclass(frozen=True)
class Beginning:
    """A claimed trial that has its setting.

    Attributes:
        claim: that is not attached to a trial of Optuna's.
        setting: of the trial.
        trial: what Optuna's trial holds: parameters and attributes.
        replicates: ordinal and seed of each further trial that gets the same setting; they are enqueued with it, so
            that however workers race or die there is one setting for all of them.
    """

    claim: Claim
    setting: SettingRow
    trial: "FrozenTrial"
    replicates: Mapping[int, int] = field(default_factory=dict)


def begin_trials(engine: Engine, beginnings: Sequence[Beginning]) -> list[Claim | None]:
    """Store the settings of trials that one worker claimed; they begin now.

    Args:
        engine: of the database.
        beginnings: of one worker and one study.

    Returns:
        The claims with their settings and ``trial_id``; None for a trial that belongs to another worker by now. It may
        be repeated when the database did not answer.
    """
    drafts = {each.claim.id: DraftRows.of(each.trial) for each in beginnings}
    columns = {each.claim.id: each.setting.columns() for each in beginnings}
    with writing(engine) as connection:
        rows = lock_owned(connection, [each.claim for each in beginnings])
        attached = {key: row["trial_id"] for key, row in rows.items() if row["outcome"] is None}
        new = [each for each in beginnings if each.claim.id in attached and attached[each.claim.id] is None]
        if new:
            study_id = new[0].claim.study_id
            keys = create_trials(connection, study_id, [drafts[each.claim.id] for each in new])
            attached |= {each.claim.id: key for each, key in zip(new, keys, strict=True)}
            begun = [
                {"trial_id": key, **columns[each.claim.id], ROW: each.claim.id}
                for each, key in zip(new, keys, strict=True)
            ]
            update_rows(connection, begun, now="started_at")
            enqueue_replicates(connection, study_id, [(each.setting, each.replicates) for each in new])
    return [
        replace(each.claim, trial_id=attached[each.claim.id], setting=each.setting)
        if each.claim.id in attached
        else None
        for each in beginnings
    ]
