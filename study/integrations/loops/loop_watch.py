"""What a callback does at each step of a trainer: it clips, watches and records, and says whether to go on."""

import atexit
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import nn

from gradstudy.models.clipping import Clipper
from gradstudy.models.loss_names import LossKind
from gradstudy.models.strategies import StrategyError
from gradstudy.study.errors import SpecError
from gradstudy.study.integrations.loops.record_run import record_run, watch_run
from gradstudy.study.integrations.loops.recorded_run import RecordedRun
from gradstudy.study.integrations.loops.run_books import LOG
from gradstudy.study.integrations.loops.snapshots import STEPS_BETWEEN, Snapshot, go_back, take
from gradstudy.study.spec.factors import FactorValue

OnDivergence = Literal["stop", "rewind", "continue"]
MOST_REWINDS = 3
"""Times that one training goes back; then it stops."""


@dataclass(frozen=True, kw_only=True)
class Stepped:
    """What became of a step.

    Attributes:
        norm: of the gradients before clipping.
        applied_norm: after it.
        goes_on: whether the training is to go on.
    """

    norm: float
    applied_norm: float
    goes_on: bool


class LeftError(RuntimeError):
    """A training that ended without a word: by an error, or as its program ended."""


class LoopWatch:
    """One training after the other of a trainer that has one optimizer.

    Attributes:
        clipper: of the training.
        run: the training as it is recorded; None before the first.
        rewinds: how often it has gone back.
    """

    def __init__(
        self,
        strategy: str,
        threshold: float | None,
        *,
        study: str | None,
        storage: str | None,
        cell: str,
        factors: Mapping[str, FactorValue] | None,
        seed: int,
        loss: LossKind,
        guard: bool,
        on_divergence: OnDivergence,
    ) -> None:
        """Choose how to clip, where to record, and what to do when a training diverges: see ``GradstudyCallback``.

        Raises:
            SpecError: there is no such strategy, or it does not take this threshold, or clips inside the backward pass.
        """
        if on_divergence not in ("stop", "rewind", "continue"):
            raise SpecError(f"on_divergence must be stop, rewind or continue, but got {on_divergence!r}")
        try:
            self._new_clipper = partial(Clipper, strategy, threshold)
            self.clipper = self._new_clipper()
        except StrategyError as error:
            raise SpecError(str(error)) from None
        self._record = None if study is None else partial(
            record_run, study, storage=storage, strategy=strategy, threshold=threshold, cell=cell, factors=factors,
            seed=seed, loss=loss, guard=guard,
        )  # fmt: skip
        self._watch = partial(watch_run, loss=loss, guard=guard)
        self._guard, self._on_divergence = guard, on_divergence
        self._watched: RecordedRun | None = None
        self.run: RecordedRun | None = None

    def begin(self, learning_rate: float, untrained_validation_loss: float | None = None) -> None:
        """Begin to record a training."""
        self.abandon()
        self.clipper = self._new_clipper()
        self.rewinds = 0
        self._snapshot: Snapshot | None = None
        self._steps = 0
        if self._record is None:
            self.run = self._watch(learning_rate=learning_rate, untrained_loss=None)
        else:
            self.run = self._record(learning_rate=learning_rate, untrained_validation_loss=untrained_validation_loss)
        self._watched = self.run.__enter__()
        atexit.register(self.abandon)

    def step(
        self,
        model: nn.Module,
        optimizer: Any,
        loss: torch.Tensor,
        schedulers: Iterable[Any] = (),
        scaler: torch.amp.GradScaler | None = None,
    ) -> Stepped:
        """Clip the gradients of a model, and watch what they say; those of a step that is to be skipped are dropped.

        Args:
            model: that is trained.
            optimizer: that is about to make its step.
            loss: of the step.
            schedulers: of its learning rate.
            scaler: that has unscaled the gradients, where there is one. It skips a step whose gradient overflowed: as
                in a study, where a smaller scale mends that, it is no divergence, and its norm is kept as 0.
        """
        watched = self._watched
        assert watched is not None, "a training begins before its steps"
        if self._on_divergence == "rewind" and self._steps % STEPS_BETWEEN == 0:
            self._keep_snapshot(watched, model, optimizer)
        clipped = self.clipper.clip(model.named_parameters(), loss)
        number, norm, applied = float(loss), float(clipped.grad_norm), float(clipped.applied_norm)
        if scaler is not None and math.isfinite(number) and not math.isfinite(norm) and scaler.get_scale() > 1:
            norm = applied = 0.0
        rate = max(group["lr"] for group in optimizer.param_groups)
        self._steps += 1
        went_on = watched.step(number, grad_norm=norm, applied_norm=applied, learning_rate=rate)
        goes_on = went_on or self._on_divergence == "continue"
        if not goes_on or (self._guard and not math.isfinite(number + norm)):
            optimizer.zero_grad(set_to_none=True)  # what makes no step does no harm
        if not goes_on and self._on_divergence == "rewind":
            goes_on = self._rewind(model, optimizer, schedulers)
        return Stepped(norm=norm, applied_norm=applied, goes_on=goes_on)

    def validation(self, loss: float, **metrics: float) -> None:
        """Take in a validation loss."""
        if self._watched is not None:
            self._watched.validation(loss, **metrics)

    def end(self, raised: BaseException | None = None) -> None:
        """Write how the training ended, unless that was done."""
        atexit.unregister(self.abandon)
        watched, self._watched = self._watched, None
        if watched is not None:
            watched.__exit__(None if raised is None else type(raised), raised, None)

    def abandon(self) -> None:
        """End a training that did not say how it ended; nothing where it did."""
        self.end(LeftError("the training was left before its end: by an error, or as its program ended"))

    def _keep_snapshot(self, watched: RecordedRun, model: nn.Module, optimizer: Any) -> None:
        """Keep a state from which the training would not have diverged if it had ended there."""
        monitor = watched.monitor
        if monitor is None or monitor.finish().outcome != "diverged":
            seen = None if monitor is None else monitor.state_dict()
            self._snapshot = take(self._steps, model, optimizer, self.clipper, seen)

    def _rewind(self, model: nn.Module, optimizer: Any, schedulers: Iterable[Any]) -> bool:
        """Go back to the last state that is kept; False where that was tried often enough.

        The run that was recorded has ended: what goes on from its middle at another learning rate is no run of its own.
        """
        watched, snapshot = self._watched, self._snapshot
        assert watched is not None
        assert watched.monitor is not None
        if self.rewinds == MOST_REWINDS or snapshot is None or not math.isfinite(watched.monitor.initial_loss):
            return False
        self.end()
        self.rewinds += 1
        go_back(snapshot, model, optimizer, self.clipper, schedulers)
        rate = max(group["lr"] for group in optimizer.param_groups)
        self._watched = self._watch(learning_rate=rate, untrained_loss=watched.monitor.initial_loss).__enter__()
        if snapshot.seen is not None and self._watched.monitor is not None:
            self._watched.monitor.load_state_dict(snapshot.seen)
        LOG.warning(
            "the training diverged at step %d: it goes on from its state before step %d, with learning rate %.3g",
            self._steps - 1, snapshot.step, rate,
        )  # fmt: skip
        return True
