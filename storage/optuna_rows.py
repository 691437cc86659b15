"""Optuna's rows of many trials at once: what its own storage would write for each, in a few statements for all.

Optuna's storage has a transaction for each call and several statements in it: half of what a trial cost. Its own
programs may use the same study at the same moment, so what it relies on holds here, too: trials are made one after the
other, in the order of their numbers, and one that has ended stays as it is.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from sqlalchemy import Connection, String, TableClause, bindparam, cast, insert, select, update

from gradstudy.storage.clock import utc_now
from gradstudy.storage.json_values import json_value
from gradstudy.storage.optuna_internals import PARAMETERS, REPORTED, SYSTEM_ATTRIBUTES, TRIALS, USER_ATTRIBUTES, VALUES
from gradstudy.storage.results import TrialResult, told_state
from gradstudy.storage.schema import STUDIES

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

OPEN = ("RUNNING", "WAITING")
"""The states of trials that have not ended."""


# Statements of every group of trials are made once: to make them takes longer than to run them, and others may wait.
OF_STUDY = TRIALS.c.study_id == bindparam("of")
HELD = select(STUDIES.c.study_id).where(STUDIES.c.study_id == bindparam("of")).with_for_update(key_share=True)
NEWEST = select(TRIALS.c.trial_id, TRIALS.c.number).where(OF_STUDY).order_by(TRIALS.c.trial_id.desc()).limit(1)
NEWEST_NOW = NEWEST.with_for_update()
"""As others have committed it by now: MySQL's snapshot may be older than the lock that was waited for."""
BEGUN = insert(TRIALS).values(
    study_id=bindparam("of"), state="RUNNING", datetime_start=utc_now(), number=bindparam("n")
)
SINCE = select(TRIALS.c.trial_id).where(OF_STUDY, TRIALS.c.trial_id > bindparam("last")).order_by(TRIALS.c.trial_id)


@dataclass(frozen=True)
class DraftRows:
    """What is stored of a trial that is not there yet, made before the transaction: while it lasts, others may wait.

    Attributes:
        parameters: the rows of its parameters but for its key.
        system: its system attributes.
        user: its user attributes.
    """

    parameters: list[dict[str, Any]]
    system: Mapping[str, Any]
    user: Mapping[str, Any]

    @classmethod
    def of(cls, trial: "FrozenTrial") -> Self:
        """The rows of a trial as Optuna gave it."""
        from optuna.distributions import distribution_to_json

        parameters = [
            {
                "param_name": name,
                "param_value": trial.distributions[name].to_internal_repr(value),
                "distribution_json": distribution_to_json(trial.distributions[name]),
            }
            for name, value in trial.params.items()
        ]
        return cls(parameters, trial.system_attrs, trial.user_attrs)


def create_trials(connection: Connection, study_id: int, trials: Sequence[DraftRows]) -> list[int]:
    """Store new trials that run, with their parameters and attributes.

    Nobody else makes a trial of the study until the transaction has ended: samplers take it that trials become visible
    in the order of their keys.

    Args:
        connection: in a transaction.
        study_id: of the study.
        trials: what they hold; their numbers and keys are given here.

    Returns:
        The ``trial_id`` of each.
    """
    connection.scalar(HELD, {"of": study_id})
    newest = NEWEST_NOW if connection.dialect.name in ("mysql", "mariadb") else NEWEST
    last, number = connection.execute(newest, {"of": study_id}).one_or_none() or (0, -1)
    connection.execute(BEGUN, [{"of": study_id, "n": number + 1 + place} for place in range(len(trials))])
    keys = list(connection.scalars(SINCE, {"of": study_id, "last": last}))
    rows = list(zip(keys, trials, strict=True))
    if parameters := [{"trial_id": key, **row} for key, trial in rows for row in trial.parameters]:
        connection.execute(insert(PARAMETERS), parameters)
    system = [row for key, trial in rows for row in attribute_rows(key, trial.system)]
    insert_attributes(connection, SYSTEM_ATTRIBUTES, system)
    insert_attributes(
        connection, USER_ATTRIBUTES, [row for key, trial in rows for row in attribute_rows(key, trial.user)]
    )
    return keys


def attribute_rows(trial_id: int, attributes: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of a trial's attributes."""
    return [{"trial_id": trial_id, "key": name, "value_json": json.dumps(value)} for name, value in attributes.items()]


def insert_attributes(connection: Connection, kind: TableClause, rows: Sequence[Mapping[str, Any]]) -> None:
    """Store attributes of trials that have none of these names, as ``attribute_rows`` made them."""
    if rows:
        connection.execute(insert(kind), rows)


def tell_trials(connection: Connection, results: Mapping[int, TrialResult]) -> None:
    """Store the states and objectives of trials that have ended, by ``trial_id``, as ``Study.tell`` does.

    One that was told already stays as it is: a worker that puts right what a dead one left may meet another. The value
    of a pruned trial is what was reported last.
    """
    is_open = (TRIALS.c.trial_id.in_(list(results)), TRIALS.c.state.in_(OPEN))
    told: dict[str, list[int]] = {}
    for key in connection.scalars(select(TRIALS.c.trial_id).where(*is_open).with_for_update(key_share=True)):
        told.setdefault(told_state(results[key].outcome, json_value(results[key].objective)), []).append(key)
    rows = [
        {"trial_id": key, "objective": 0, "value": json_value(results[key].objective), "value_type": "FINITE"}
        for key in told.get("COMPLETE", [])
    ]
    rows += _last_reported(connection, told.get("PRUNED", []))
    if rows:
        connection.execute(insert(VALUES), rows)
    for state, keys in told.items():
        set_states(connection, keys, state)


def set_states(connection: Connection, trial_ids: Collection[int], state: str) -> None:
    """Set the state of trials that have not ended in Optuna; of those that are to run, only those that wait."""
    before: tuple[str, ...] = OPEN
    values: dict[str, Any] = {"state": state}
    if state == "RUNNING":
        before = ("WAITING",)
        values["datetime_start"] = utc_now()
    elif state != "WAITING":
        values["datetime_complete"] = utc_now()
    if trial_ids:
        are_there = (TRIALS.c.trial_id.in_(list(trial_ids)), TRIALS.c.state.in_(before))
        connection.execute(update(TRIALS).where(*are_there).values(values))


def _last_reported(connection: Connection, trial_ids: Sequence[int]) -> list[dict[str, Any]]:
    """The values of pruned trials that reported a number; Optuna has no value that is none."""
    if not trial_ids:
        return []
    kind = cast(REPORTED.c.intermediate_value_type, String(8)).label("kind")
    reported = select(REPORTED.c.trial_id, REPORTED.c.intermediate_value, kind)
    rows = connection.execute(reported.where(REPORTED.c.trial_id.in_(trial_ids)).order_by(REPORTED.c.step)).all()
    last = {row.trial_id: row for row in rows}
    return [
        {"trial_id": key, "objective": 0, "value": row.intermediate_value, "value_type": row.kind}
        for key, row in last.items()
        if row.kind != "NAN"
    ]
