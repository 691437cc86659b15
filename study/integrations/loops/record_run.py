"""Recording a run of any training loop as a trial of a study."""

import math
import os
from collections.abc import Mapping, Sequence
from functools import partial
from typing import SupportsFloat

from gradstudy.models.loss_names import LossKind
from gradstudy.models.strategies import STRATEGIES, StrategyError, find_strategy
from gradstudy.storage.default_storage import DEFAULT_STORAGE, STORAGE_VARIABLE
from gradstudy.storage.queue import SettingRow
from gradstudy.study.errors import SpecError
from gradstudy.study.integrations.loops.recorded_run import Known, RecordedRun
from gradstudy.study.integrations.loops.run_books import NoBooks, RunBooks
from gradstudy.study.spec.factors import FactorValue
from gradstudy.study.spec.plain import LARGEST, SMALLEST, UNKNOWN_CELL, UNKNOWN_STRATEGY
from gradstudy.study.spec.study_name import require_name

LONGEST_WORD = 64
"""Characters of a cell, as the database has room for."""
LARGEST_SEED = 2**63 - 1


def record_run(
    study: str,
    *,
    storage: str | None = None,
    learning_rate: float,
    strategy: str = UNKNOWN_STRATEGY,
    threshold: float | None = None,
    cell: str = UNKNOWN_CELL,
    factors: Mapping[str, FactorValue] | None = None,
    seed: int = 0,
    loss: LossKind = "cross_entropy",
    untrained_loss: SupportsFloat | Sequence[SupportsFloat] | None = None,
    untrained_validation_loss: float | None = None,
    steps: int | None = None,
    guard: bool = False,
    stop: bool = False,
) -> RecordedRun:
    """Record the training run of a ``with`` block as a trial of a study, which the first run of it makes.

    The run ends with the block: trained, stalled or diverged by the rule of every study, and failed where the block
    raises or its process dies. Any number of processes may record runs of one study at the same time.

    Args:
        study: its name; the study has only runs that are recorded.
        storage: URL of the database, which is made where there is none; ``GRADSTUDY_STORAGE`` where not given, else
            ``sqlite:///gradstudy.db``.
        learning_rate: of the run; with a schedule the highest.
        strategy: the clipping strategy, a name in ``STRATEGIES``; not given, that of the program, whatever it is.
        threshold: in the unit of the strategy; None where it has none.
        cell: what is trained, such as lstm or gru; runs of different cells are not compared.
        factors: what else differs between runs; only runs with the same are compared.
        seed: of the run, to be shown.
        loss: which loss is trained.
        untrained_loss: of the untrained model, on each of the first batches or one number; not given, that of the first
            step.
        untrained_validation_loss: of the untrained model; not given, that of ``run.validation`` before the first step.
        steps: that the run is to make: one that ends earlier, and has not diverged, counts neither way; not given, as
            many as it makes.
        guard: whether the loop skips steps with a loss or gradient that is not finite.
        stop: whether ``run.step`` ends the block when the run has diverged.

    Raises:
        SpecError: something that no run can have.
        StorageError: one of its kinds, when the block is entered: the database cannot be used.
        ExternalStudyError: when it is entered: the study was launched to be trained here.
    """
    require_name(study)
    _check_number("learning_rate", learning_rate)
    if strategy == UNKNOWN_STRATEGY:
        if threshold is not None:
            raise SpecError(f"a threshold needs a strategy: choose from {', '.join(STRATEGIES)}, but got {threshold!r}")
    else:
        try:
            find_strategy(strategy).check(threshold)
        except StrategyError as error:
            raise SpecError(str(error)) from None
    if threshold is not None:
        _check_number("threshold", threshold)
    if not 0 < len(cell) <= LONGEST_WORD:
        raise SpecError(f"cell must be 1 to {LONGEST_WORD} characters long, but got {cell!r}")
    for name, value in (factors or {}).items():
        if not isinstance(value, (bool, int, float, str)) or (isinstance(value, float) and not math.isfinite(value)):
            raise SpecError(f"factor {name!r} must be a finite number, a text or a switch, but got {value!r}")
    if not 0 <= seed <= LARGEST_SEED:
        raise SpecError(f"seed must be a whole number from 0 to {LARGEST_SEED}, but got {seed!r}")
    if steps is not None and steps < 1:
        raise SpecError(f"steps must be at least 1, but got {steps!r}")
    setting = SettingRow(
        cell=cell,
        strategy=strategy,
        threshold=None if threshold is None else float(threshold),
        learning_rate=float(learning_rate),
        factors=dict(factors or {}),
    )
    known = Known(
        learning_rate=float(learning_rate),
        loss=loss,
        untrained=untrained_loss,
        untrained_validation=untrained_validation_loss,
        steps=steps,
        guard=guard,
        stop=stop,
    )
    url = storage or os.environ.get(STORAGE_VARIABLE) or DEFAULT_STORAGE
    return RecordedRun(known, partial(RunBooks, url, study, setting, seed))


def watch_run(
    *, learning_rate: float, untrained_loss: SupportsFloat | None, loss: LossKind, guard: bool
) -> RecordedRun:
    """A run that is watched as a recorded one, and recorded nowhere."""
    known = Known(
        learning_rate=learning_rate,
        loss=loss,
        untrained=untrained_loss,
        untrained_validation=None,
        steps=None,
        guard=guard,
        stop=False,
    )
    return RecordedRun(known, NoBooks)


def _check_number(name: str, value: float) -> None:
    if not SMALLEST <= value <= LARGEST:
        raise SpecError(f"{name} must be a number from {SMALLEST:g} to {LARGEST:g}, but got {value!r}")
