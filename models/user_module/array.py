"""Runs of the user's own model in slots: many as one batched program where that was verified, else one by one."""

import sys
import traceback
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from itertools import compress
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from gradstudy.models.array import TrainingRun, Watch, free_slot
from gradstudy.models.optimizer_settings import OptimizerSettings
from gradstudy.models.parameters import ParameterLayout
from gradstudy.models.schedules import Schedule
from gradstudy.models.telemetry import Telemetry
from gradstudy.models.update import update
from gradstudy.models.user_module.batching import agreement, batched_gradients, signature
from gradstudy.models.user_module.checks.one_step import buffers_of
from gradstudy.models.user_module.checks.spot_check import SpotChecks, WrongInBatchError, confirm, suspicion
from gradstudy.models.user_module.loading import UserModule
from gradstudy.models.user_module.rows import ModuleRows
from gradstudy.models.user_module.run import Company, ModuleRun

T = TypeVar("T")

HERE = Path(__file__).parent

LONGEST_TRACEBACK = 20_000
"""Characters of a traceback that are kept, the last ones."""


class ModuleArray:
    """K slots that train the user's own model, as a ``TrialArray`` does the built-in one.

    Parameters are rows [K, P] that are clipped and updated together. Gradients come from ``torch.func.vmap`` over the
    slots whose batches can be stacked, or from one slot's own module after the other. An exception of the user's code
    ends its trial only: ``failures`` has its traceback, and its numbers are NaN from there on.
    """

    def __init__(
        self,
        task: UserModule,
        cell: str,
        *,
        slots: int,
        batch_size: int,
        optimizer: OptimizerSettings | None,
        schedule: Schedule,
        guard: bool,
        device: torch.device,
        batched: bool,
        shared_draws: int | None = None,
    ) -> None:
        """Make an empty array.

        Args:
            task: the user's function.
            cell: which it is given, where it takes one.
            slots: the largest number of trials at once, K.
            batch_size: which it is given, where it takes one.
            optimizer: of every trial, with the hyperparameters of those that have none of their own; None is the one
                that the user's function returns.
            schedule: of every trial's learning rate, over the longest training run; strategies with memory size it
                by this. An optimizer that the function returns goes by its own.
            guard: whether a step with a non-finite loss or gradient is skipped.
            device: where to train.
            batched: whether ``try_batching`` found that batched runs equal single ones.
            shared_draws: the seed of the draws that batched runs share, see ``Company``; None where they share none.
        """
        self.slots = slots
        self.active = 0
        self.watch: Watch | None = None
        self.failures: dict[int, str] = {}
        self._task, self._cell, self._batch_size, self._device = task, cell, batch_size, device
        self._optimizer, self._schedule = optimizer, schedule
        self.guard = guard
        self._company = Company(shared_draws) if batched else None
        self._runs: list[ModuleRun | None] = []
        self._alone: list[bool] = []
        self._rows: ModuleRows | None = None
        self._skeleton: ModuleRun | None = None
        self._spot_checks = SpotChecks()
        self._company_is_wrong = False

    def admit(self, run: TrainingRun) -> int:
        """Put a trial into the next free slot, untrained, and return the slot; one that cannot be made has failed.

        Raises:
            IndexError: all slots are taken.
        """
        slot = free_slot(self.active, self.slots)
        self.active += 1
        self._runs.append(None)
        self._alone.append(True)
        try:
            made = ModuleRun(self._task, run.seed, self._cell, self._batch_size, self._device, self._company)
            if self._rows is None:
                self._rows = ModuleRows(made, self.slots, self._schedule, self._optimizer, self._device, self._fail)
            self._rows.begin(slot, made, run)
            if self._company is not None:
                self._skeleton = self._skeleton or made
                reason = agreement(self._skeleton, made)
                self._alone[slot] = reason is not None or self._company_is_wrong
                if reason is not None:
                    print(f"seed {run.seed} is trained on its own: {reason}", file=sys.stderr)  # noqa: T201
            self._runs[slot] = made
        except (Exception, SystemExit):
            self._fail(slot)
        return slot

    def evict(self, slot: int) -> None:
        """Free a slot; the trial of the last active slot moves into it."""
        self.active -= 1
        last = self.active
        self._runs[slot], self._alone[slot] = self._runs[last], self._alone[last]
        self._runs.pop()
        self._alone.pop()
        self.failures.pop(slot, None)
        if slot == last:
            return
        if last in self.failures:
            self.failures[slot] = self.failures.pop(last)
        if self._rows is not None:
            self._rows.move(last, slot)

    def train(self, steps: int) -> Telemetry:
        """Advance every active trial by ``steps`` training steps and report on them."""
        if self._rows is None:
            nothing = torch.full((4, self.active), torch.nan)
            return Telemetry.recorded([nothing] * steps)
        return Telemetry.recorded([self._train_step(self._rows) for _ in range(steps)])

    def train_then_change(self, steps: int, runs: Sequence[TrainingRun]) -> None:
        """Train every active trial as it is, then change its strategy and learning rate to those of ``runs``, one each.

        The new strategies have seen the gradients of these steps. The seeds of ``runs`` change nothing.
        """
        rows = self._rows
        assert rows is not None
        clipper = rows.make_clipper()
        for slot, run in enumerate(runs):
            clipper.assign(slot, run.strategy, run.threshold)

        def look_on(layout: ParameterLayout, gradients: Tensor, parameters: Tensor, loss: Tensor) -> None:
            clipper.look_on(gradients, parameters, loss, ~torch.isfinite(loss) if self.guard else None)

        self.watch = look_on
        for _ in range(steps):
            self._train_step(rows)
        self.watch = None
        rows.clipper = clipper
        rows.learning_rate[: self.active] = rows.learning_rate.new_tensor([run.learning_rate for run in runs])

    def initial_losses(self, slot: int) -> list[float]:
        """Training loss of a slot's model on each of its first batches; call it before the first step."""
        return self._measured(slot, ModuleRun.initial_losses, [float("nan")])

    def validation_loss(self, slot: int) -> float:
        """Loss of a slot's model on the validation batches."""
        run = self._runs[slot]
        if run is not None and self._rows is not None:
            self._rows.load(slot, run)
        return self._measured(slot, ModuleRun.validation_loss, float("nan"))

    def _measured(self, slot: int, what: Callable[[ModuleRun], T], otherwise: T) -> T:
        run = self._runs[slot]
        if run is not None and slot not in self.failures:
            try:
                return what(run)
            except (Exception, SystemExit):
                self._fail(slot)
        return otherwise

    def _train_step(self, rows: ModuleRows) -> Tensor:
        """One step of every active trial; loss, norm, applied norm and clipped as rows, [4, n]."""
        active = slice(self.active)
        rows.gradients[active].zero_()
        rows.loss[active] = torch.nan
        for slots, batches in self._groups():
            if slots == [slots[0]] and self._alone[slots[0]]:
                self._differentiate_alone(rows, slots[0], batches[0])
            else:
                self._differentiate(rows, slots, batches)
        if self.watch is not None:
            self.watch(rows.layout, rows.gradients[active], rows.parameters[active], rows.loss[active])
        return update(
            rows.parameters[active],
            rows.gradients[active],
            rows.loss[active],
            rows.next_rates(self.active),
            clipper=rows.clipper,
            optimizer=rows.optimizer,
            guard=self.guard,
        )

    def _groups(self) -> list[tuple[list[int], list[Any]]]:
        """The slots that go on with their batches, those together that one program can train."""
        groups: dict[Hashable, tuple[list[int], list[Any]]] = defaultdict(lambda: ([], []))
        for slot, run in enumerate(self._runs):
            if run is None or slot in self.failures:
                continue
            try:
                batch = run.next_batch()
                group = groups[slot if self._alone[slot] else (self._shared_step(run), signature(batch))]
            except (Exception, SystemExit):
                self._fail(slot)
            else:
                group[0].append(slot)
                group[1].append(batch)
        return list(groups.values())

    def _shared_step(self, run: ModuleRun) -> int | None:
        """The step that all runs of a program take; None where it does not matter."""
        return run.steps if self._company is not None and self._company.has_coins else None

    def _differentiate(self, rows: ModuleRows, slots: list[int], batches: Sequence[Any]) -> None:
        """Losses and gradients of several slots at once; alone, where together they fail."""
        runs = [run for slot in slots if (run := self._runs[slot]) is not None]
        assert self._skeleton is not None
        index = torch.tensor(slots, device=self._device)
        alone = self._spot_checks.alone(lambda: self._loaded(rows, slots), batches)
        buffers = [buffers_of(run) for run in runs]
        together = None
        with suppress(Exception, SystemExit):
            parameters = rows.views(rows.parameters.index_select(0, index), runs[0])
            together = batched_gradients(self._skeleton, runs, parameters, batches, [run.steps - 1 for run in runs])
        if together is None:
            for slot, batch in zip(slots, batches, strict=True):
                self._differentiate_alone(rows, slot, batch)
            return
        losses, gradients = together
        if alone is not None and (reason := suspicion(alone, runs[alone.number], losses[alone.number], gradients)):
            self._confirm(reason, rows, slots, batches)
        computed = torch.zeros(len(slots), rows.layout.size, dtype=rows.gradients.dtype, device=self._device)
        for view, gradient in zip(rows.views(computed, runs[0]).values(), gradients, strict=True):
            if gradient is not None:
                view.copy_(gradient)
        if self._optimizer is None:
            for run in runs:
                run.note_gradients(gradients)
        rows.gradients.index_copy_(0, index, computed)
        rows.loss.index_copy_(0, index, losses.to(rows.loss.dtype))
        finite = losses.isfinite() & computed.isfinite().all(1)
        for number in torch.nonzero(~finite).flatten().tolist():  # never by a fault of the batch
            for name, buffer in runs[number].module.named_buffers():
                buffer.copy_(buffers[number][name])
            rows.gradients[slots[number]].zero_()
            self._differentiate_alone(rows, slots[number], batches[number])

    def _confirm(self, reason: str, rows: ModuleRows, slots: list[int], batches: Sequence[Any]) -> None:
        """End the trials of a batch that gave wrong numbers; where there is no telling, go on with each alone."""
        try:
            confirm(reason, self._loaded(rows, slots), batches)
        except WrongInBatchError:
            self._company_is_wrong = True
            for slot in slots:
                self._fail(slot)
        except (Exception, SystemExit):
            for slot in slots:
                self._alone[slot] = True

    def _loaded(self, rows: ModuleRows, slots: list[int]) -> list[ModuleRun]:
        """The runs of some slots, whose modules hold their parameters."""
        runs = [run for slot in slots if (run := self._runs[slot]) is not None]
        for slot, run in zip(slots, runs, strict=True):
            rows.load(slot, run)
        return runs

    def _differentiate_alone(self, rows: ModuleRows, slot: int, batch: Any) -> None:
        """Loss and gradient of one slot, by its own module."""
        run = self._runs[slot]
        assert run is not None
        try:
            rows.load(slot, run)
            loss, gradients = run.gradients(batch, run.steps - 1)
            rows.store(slot, run)
        except (Exception, SystemExit):
            self._fail(slot)
            return
        for view, gradient in zip(rows.views(rows.gradients[slot : slot + 1], run).values(), gradients, strict=True):
            if gradient is not None:
                view[0].copy_(gradient.to_dense())
        if self._optimizer is None:
            run.note_gradients(gradients)
        rows.loss[slot] = loss

    def _fail(self, slot: int) -> None:
        """Keep the traceback of the exception that is being handled, without our own frames."""
        error = sys.exception()
        assert error is not None
        frames = traceback.walk_tb(error.__traceback__)
        theirs = [HERE not in Path(frame.f_code.co_filename).parents for frame, _ in frames]
        shown = traceback.TracebackException.from_exception(error)
        shown.stack = traceback.StackSummary.from_list(list(compress(shown.stack, theirs)))
        self.failures[slot] = "".join(shown.format())[-LONGEST_TRACEBACK:]
