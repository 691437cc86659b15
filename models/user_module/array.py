"""Runs of the user's own model in slots: many as one batched program where that was verified, else one by one."""

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from typing import TypeVar

import torch
from torch import Tensor

from gradstudy.models.array import TrainingRun, Watch, free_slot
from gradstudy.models.optimizer_settings import OptimizerSettings
from gradstudy.models.parameters import ParameterLayout
from gradstudy.models.schedules import Schedule
from gradstudy.models.telemetry import Telemetry
from gradstudy.models.update import update
from gradstudy.models.user_module.checks.comparison import agreement, all_agree
from gradstudy.models.user_module.company import Company
from gradstudy.models.user_module.gradients import ModuleGradients
from gradstudy.models.user_module.loading import UserModule
from gradstudy.models.user_module.padding import Padding
from gradstudy.models.user_module.random_state import staying
from gradstudy.models.user_module.rows import ModuleRows
from gradstudy.models.user_module.run import ModuleRun
from gradstudy.models.user_module.state.kept import UnkeptError, restore_run, run_state
from gradstudy.models.user_module.untrained import measure_untrained

T = TypeVar("T")


class ModuleArray(ModuleGradients):
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
        padding: Padding | None = None,
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
            padding: of batches of different lengths, where it was verified.
        """
        super().__init__(Company(shared_draws, padding) if batched else None, device, own_optimizers=optimizer is None)
        self.slots, self.active = slots, 0
        self.watch: Watch | None = None
        self._task, self._cell, self._batch_size = task, cell, batch_size
        self._optimizer, self._schedule, self.guard = optimizer, schedule, guard
        self._rows: ModuleRows | None = None

    def admit(self, run: TrainingRun) -> int:
        """Put a trial into the next free slot, untrained, and return the slot; one that cannot be made has failed.

        Raises:
            IndexError: all slots are taken.
        """
        (slot,) = self.admit_all([run])
        return slot

    def admit_all(self, runs: Sequence[TrainingRun]) -> list[int]:
        """The same of several trials that begin together, which is faster; raises IndexError, too."""
        slots = [self._make(run) for run in runs]
        if self._company is not None:
            self._join({slot: made for slot in slots if (made := self._runs[slot]) is not None})
        return slots

    def _make(self, run: TrainingRun) -> int:
        """Take the next free slot for a trial."""
        slot = free_slot(self.active, self.slots)
        self.active += 1
        self._runs.append(None)
        self._alone.append(True)
        try:
            made = ModuleRun(self._task, run.seed, self._cell, self._batch_size, self._device, self._company)
            if self._rows is None:
                self._rows = ModuleRows(made, self.slots, self._schedule, self._optimizer, self._device, self._fail)
            self._rows.begin(slot, made, run)
            self._runs[slot] = made
        except (Exception, SystemExit):
            self._fail(slot)
        return slot

    def _join(self, newcomers: dict[int, ModuleRun]) -> None:
        """Have newcomers trained in company, but those who turn out not to be what they are alone."""
        runs = list(newcomers.values())
        if len(runs) > 1:
            self._skeleton = self._skeleton or runs[0]
            if all_agree(self._skeleton, runs):
                for slot in newcomers:
                    self._alone[slot] = self._company_is_wrong
                measure_untrained(self._skeleton, runs)
                return
        for slot, run in newcomers.items():
            try:
                self._skeleton = self._skeleton or run
                reason = agreement(self._skeleton, run)
            except (Exception, SystemExit):
                self._fail(slot)
                self._runs[slot] = None
                continue
            self._alone[slot] = reason is not None or self._company_is_wrong
            if reason is not None:
                print(f"seed {run.seed} is trained on its own: {reason}", file=sys.stderr)  # noqa: T201

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
            return Telemetry.recorded([torch.full((4, self.active), torch.nan)] * steps)
        # Own optimizers may draw, and not from the generators of whichever trial drew last.
        with nullcontext() if self._optimizer is None else staying(self._device):
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

    def state(self, slot: int) -> dict[str, Tensor] | None:
        """See ``TrialArray.state``; None where it cannot be kept."""
        run, rows = self._runs[slot], self._rows
        if run is not None and rows is not None and slot not in self.failures:
            with suppress(UnkeptError):
                return {**rows.state(slot), "run": run_state(run), "alone": torch.tensor(self._alone[slot])}
        return None

    def restore(self, slot: int, state: Mapping[str, Tensor]) -> None:
        """See ``TrialArray.restore``; raises UnkeptError where other batches come than came before."""
        run, rows = self._runs[slot], self._rows
        assert run is not None
        assert rows is not None
        restore_run(run, state["run"])
        self._alone[slot] = bool(state["alone"]) or self._company_is_wrong
        rows.restore(slot, state)

    def initial_losses(self, slot: int) -> list[float]:
        """Training loss of a slot's model on each of its first batches; call it before the first step."""
        return self._measured(slot, ModuleRun.initial_losses, [float("nan")])

    def validation_loss(self, slot: int) -> float:
        """Loss of a slot's model on the validation batches."""
        run = self._runs[slot]
        if run is not None and self._rows is not None:
            self._rows.load(slot, run)
        return self._measured(slot, ModuleRun.validation_loss, float("nan"))

    def metrics(self, slot: int) -> dict[str, float]:
        """What is measured beside the loss of a slot's model, on the validation batches; ask for their loss first."""
        return self._measured(slot, ModuleRun.metrics, {})

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
        self._differentiate_all(rows)
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
