"""Gradients of the user's own model in slots: many as one batched program where that was verified, else one by one."""

import sys
from collections import defaultdict
from collections.abc import Hashable, Sequence
from contextlib import suppress
from typing import Any

import torch

from gradstudy.models.user_module.checks.comparison import Taken
from gradstudy.models.user_module.checks.spot_check import (
    SpotChecks,
    WrongInBatchError,
    confirm,
    is_padded,
    suspicion,
)
from gradstudy.models.user_module.company import Company
from gradstudy.models.user_module.own_traceback import own_traceback
from gradstudy.models.user_module.program import are_finite, batched_gradients
from gradstudy.models.user_module.rows import ModuleRows
from gradstudy.models.user_module.run import ModuleRun
from gradstudy.models.user_module.state.stacked_state import state_signature


class ModuleGradients:
    """Runs in slots, and how their gradients are computed.

    Attributes:
        failures: tracebacks of what the user's code raised, by slot.
    """

    def __init__(self, company: Company | None, device: torch.device, *, own_optimizers: bool) -> None:
        """Begin without runs.

        Args:
            company: of runs that are trained together; None where each is trained alone.
            device: where to train.
            own_optimizers: whether each run has its own optimizer.
        """
        self.failures: dict[int, str] = {}
        self._company, self._device, self._own_optimizers = company, device, own_optimizers
        self._runs: list[ModuleRun | None] = []
        self._alone: list[bool] = []
        self._skeleton: ModuleRun | None = None
        self._spot_checks = SpotChecks()
        self._company_is_wrong = False

    def _differentiate_all(self, rows: ModuleRows) -> None:
        """Losses and gradients of the next step of every run."""
        for slots, batches in self._groups():
            if slots == [slots[0]] and self._alone[slots[0]]:
                self._differentiate_alone(rows, slots[0], batches[0])
            else:
                self._differentiate(rows, slots, batches)

    def _groups(self) -> list[tuple[list[int], list[Any]]]:
        """The slots that go on with their batches, those together that one program can train."""
        groups: dict[Hashable, tuple[list[int], list[Any]]] = defaultdict(lambda: ([], []))
        for slot, run in enumerate(self._runs):
            if run is None or slot in self.failures:
                continue
            try:
                batch = run.next_batch()
                group = groups[slot if self._alone[slot] else self._program(run, batch)]
            except (Exception, SystemExit):
                self._fail(slot)
            else:
                group[0].append(slot)
                group[1].append(batch)
        return list(groups.values())

    def _program(self, run: ModuleRun, batch: Any) -> Hashable:
        """What runs have in common that go through one program: step, where it matters, batch and what is carried."""
        assert self._company is not None
        shared_step = run.steps if self._company.has_coins else None
        return shared_step, self._company.signature(batch), state_signature(run.carried, sorted(self._company.carried))

    def _differentiate(self, rows: ModuleRows, slots: list[int], batches: Sequence[Any]) -> None:
        """Losses and gradients of several slots at once; alone, where together they fail or are not finite."""
        runs = [run for slot in slots if (run := self._runs[slot]) is not None]
        assert self._skeleton is not None
        index = torch.tensor(slots, device=self._device)
        together, looked_at, stacked = None, dict[int, Taken](), batches
        with suppress(Exception, SystemExit):
            parameters = rows.views(rows.parameters.index_select(0, index), runs[0])
            if self._skeleton.padding is not None:
                stacked = self._skeleton.padding.padded(batches)
            looked_at = self._spot_checks.alone(
                runs, batches, stacked, lambda place: rows.load(slots[place], runs[place])
            )
            together = batched_gradients(self._skeleton, runs, parameters, stacked, [run.steps - 1 for run in runs])
        if together is None:
            for slot, batch in zip(slots, batches, strict=True):
                self._differentiate_alone(rows, slot, batch)
            return
        losses, gradients = together
        rows.take_all_gradients(slots, runs[0], gradients)
        if self._own_optimizers:
            for run in runs:
                run.note_gradients(gradients)
        rows.loss.index_copy_(0, index, losses.to(rows.loss.dtype))
        finite = are_finite(losses, gradients)
        for place in (
            place for place, is_finite in enumerate(finite) if not is_finite
        ):  # never by a fault of the batch
            rows.gradients[slots[place]].zero_()
            self._differentiate_alone(rows, slots[place], batches[place])
        for place, alone in looked_at.items():
            if finite[place]:
                own = [None if gradient is None else gradient[place] for gradient in gradients]
                padded = is_padded(runs[place], batches[place], stacked[place])
                reason = suspicion(alone, runs[place], losses[place], own, padded=padded)
                if reason and padded:
                    self._leave_company(rows, slots[place], alone, reason)
                elif reason:
                    self._confirm(reason, rows, slots, place, batches)

    def _leave_company(self, rows: ModuleRows, slot: int, alone: Taken, reason: str) -> None:
        """Train a run by its own module from this step on."""
        run = self._runs[slot]
        assert run is not None
        print(f"seed {run.seed} is trained on its own from step {run.steps} on: {reason}", file=sys.stderr)  # noqa: T201
        self._alone[slot] = True
        rows.gradients[slot].zero_()
        rows.take_gradients(slot, run, alone.gradients)
        rows.loss[slot] = alone.loss
        for name, buffer in run.module.named_buffers():
            buffer.copy_(alone.buffers[name])
        run.carried.write(list(alone.state), alone.state.values())

    def _confirm(self, reason: str, rows: ModuleRows, slots: list[int], place: int, batches: Sequence[Any]) -> None:
        """End the trials of a batch that gave wrong numbers; where there is no telling, go on with each alone."""
        runs = [run for slot in slots if (run := self._runs[slot]) is not None]
        for slot, run in zip(slots, runs, strict=True):
            rows.load(slot, run)
        try:
            confirm(reason, place, runs, batches)
        except WrongInBatchError:
            self._company_is_wrong = True
            for slot in slots:
                self._fail(slot)
        except (Exception, SystemExit):
            for slot in slots:
                self._alone[slot] = True

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
        rows.take_gradients(slot, run, gradients)
        if self._own_optimizers:
            run.note_gradients(gradients)
        rows.loss[slot] = loss

    def _fail(self, slot: int) -> None:
        """A run has failed by the exception that is being handled."""
        self.failures[slot] = own_traceback()
