"""The trial array: K training runs of one shape as one batched program."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from gradstudy.models.clipping import GradientClipper
from gradstudy.models.dropout import dropout_key
from gradstudy.models.loss_scaling import LossScaling
from gradstudy.models.model_shape import Batch, ModelShape
from gradstudy.models.optimizer_settings import OptimizerSettings
from gradstudy.models.optimizers import make_optimizer
from gradstudy.models.parameters import ParameterLayout
from gradstudy.models.parametrization import rate_scales
from gradstudy.models.schedules import Schedule
from gradstudy.models.seq2seq import EncoderDecoder
from gradstudy.models.slot_state import named, part_of
from gradstudy.models.state_clipping import StateClipper, StateLimits
from gradstudy.models.step_rates import StepRates
from gradstudy.models.strategies import find_strategy
from gradstudy.models.tasks.batches import TrialBatches
from gradstudy.models.telemetry import Telemetry
from gradstudy.models.trainable import TaskData
from gradstudy.models.update import update
from gradstudy.models.workspace import Workspace

INITIAL_BATCHES = 16
"""How many of a trial's first batches measure the loss of its untrained model."""
MEASURED_AT_ONCE = 4
"""Of these batches: together they take as much memory as so many trials, whatever the number of slots."""


@dataclass(frozen=True, kw_only=True)
class TrainingRun:
    """What makes one trial's training differ from its neighbours'.

    Attributes:
        seed: of the initial parameters, the order of the data and dropout.
        strategy: clipping strategy, a name in ``STRATEGIES``.
        threshold: in the unit of the strategy; None where it has none.
        learning_rate: of the optimizer.
        hyperparameters: of the optimizer, that differ from those of the array.
    """

    seed: int
    strategy: str
    threshold: float | None
    learning_rate: float
    hyperparameters: Mapping[str, float] = field(default_factory=dict)


Watch = Callable[[ParameterLayout, Tensor, Tensor, Tensor], None]
"""What looks at every step before clipping: at gradients and parameters, both ``[n, P]``, and losses ``[n]``."""


def free_slot(active: int, slots: int) -> int:
    """The next free slot of an array, whose active trials are in the first slots.

    Raises:
        IndexError: all slots are taken.
    """
    if active == slots:
        raise IndexError(f"all {slots} slots of the array are taken")
    return active


class TrialArray:
    """K slots that train models of one shape, each at its own step, batch, learning rate and strategy.

    Active trials occupy the slots 0 to n - 1; evicting one moves the last into its place. A trial's numbers do not
    depend on its neighbours.
    """

    def __init__(
        self,
        shape: ModelShape,
        data: TaskData,
        *,
        slots: int,
        batch_size: int,
        optimizer: OptimizerSettings,
        schedule: Schedule,
        guard: bool = False,
        validation_pairs: int = 256,
        workspace: Workspace,
    ) -> None:
        """Make an empty array.

        Args:
            shape: of every model.
            data: training and validation examples.
            slots: the largest number of trials at once, K.
            batch_size: sequences in each training batch.
            optimizer: of every trial, with the hyperparameters of those that have none of their own.
            schedule: of every trial's learning rate, over the longest training run; strategies with memory size it
                by this.
            guard: whether a step with a non-finite loss or gradient is skipped.
            validation_pairs: how many validation pairs ``validation_loss`` takes at most.
            workspace: where to compute, and in which type; arrays that take turns can share one. Parameters,
                gradients and what follows from them are float32 where the computation is in half precision. In float16
                losses are scaled, and a step whose gradient overflows is skipped, with a guard or without.
        """
        self.device = workspace.device
        self.slots = slots
        self._scaling = LossScaling(slots, workspace.device) if workspace.dtype == torch.float16 else None
        self.guard = guard or self._scaling is not None
        self.workspace = workspace
        dtype = torch.promote_types(workspace.dtype, torch.float32)
        self.model = EncoderDecoder(shape, workspace)
        self.active = 0
        self.failures: dict[int, str] = {}
        size = self.model.layout.size
        self.parameters = torch.zeros(slots, size, dtype=dtype, device=self.device)
        self.gradients = torch.zeros_like(self.parameters)
        self._optimizer = make_optimizer(optimizer, slots, size, dtype, self.device)
        self._clipper = GradientClipper(self.model.layout, slots, schedule.steps, dtype, self.device)
        self._state_clipper = StateClipper(slots, dtype, self.device)
        self._batches = TrialBatches(data, slots, batch_size, self.device)
        self._validation = self._batches.validation(validation_pairs)
        self._learning_rate = torch.zeros(slots, dtype=dtype, device=self.device)
        self._rates = StepRates(schedule, dtype, self.device)
        self._dropout_key = torch.zeros(slots, dtype=torch.int64, device=self.device)
        self.watch: Watch | None = None
        self._step = np.zeros(slots, dtype=np.int64)

    def admit(self, run: TrainingRun) -> int:
        """Put a trial into the next free slot, untrained, and return the slot.

        Raises:
            IndexError: all slots are taken.
        """
        slot = free_slot(self.active, self.slots)
        strategy = find_strategy(run.strategy)
        strategy.check(run.threshold)
        self.active += 1
        self.parameters[slot] = self.model.initialize(run.seed, self.parameters.dtype)
        self._optimizer.reset(slot)
        scales = rate_scales(self.model.shape, self.model.layout, self._optimizer.name, run.strategy)
        self._optimizer.assign(slot, run.hyperparameters, scales)
        if self._scaling:
            self._scaling.reset(slot)
        self._state_clipper.assign(slot, run.strategy, run.threshold)
        if strategy.inside:
            self._clipper.assign(slot, "none", None)
        else:
            self._clipper.assign(slot, run.strategy, run.threshold)
        self._batches.admit(slot, run.seed)
        self._learning_rate[slot] = run.learning_rate
        self._dropout_key[slot] = dropout_key(run.seed)
        self._step[slot] = 0
        return slot

    def evict(self, slot: int) -> None:
        """Free a slot; the trial of the last active slot moves into it."""
        self.active -= 1
        last = self.active
        if slot == last:
            return
        self.parameters[slot] = self.parameters[last]
        self._optimizer.move(last, slot)
        if self._scaling:
            self._scaling.move(last, slot)
        self._clipper.move(last, slot)
        self._state_clipper.move(last, slot)
        self._batches.move(last, slot)
        for state in (self._learning_rate, self._dropout_key, self._step):
            state[slot] = state[last]

    def state(self, slot: int) -> dict[str, Tensor]:
        """What the further training of a trial depends on, beside its run: tensors by name, copies."""
        scaling = self._scaling.state(slot) if self._scaling else {}
        return {
            "parameters": self.parameters[slot].clone(),
            "step": torch.tensor(self._step[slot]),
            **named("optimizer", self._optimizer.of_slot(slot)),
            **named("clipping", self._clipper.state(slot)),
            **named("scaling", scaling),
        }

    def restore(self, slot: int, state: Mapping[str, Tensor]) -> None:
        """Let a trial that was admitted to ``slot`` go on from a ``state`` of one with the same run.

        Raises:
            KeyError: something is missing.
            RuntimeError: it is of a model of another shape.
        """
        self.parameters[slot] = state["parameters"]
        steps = int(state["step"])
        self._dropout_key[slot] += steps - self._step[slot]
        self._step[slot] = steps
        self._optimizer.restore(slot, part_of("optimizer", state))
        self._clipper.restore(slot, part_of("clipping", state))
        if self._scaling:
            self._scaling.restore(slot, part_of("scaling", state))

    @torch.no_grad()
    def look_on(self, layout: ParameterLayout, gradients: Tensor, parameters: Tensor, loss: Tensor) -> None:
        """Let the strategy of every active trial see a step of another array's only trial; see ``Watch``."""
        rows, loss = (self.active, -1), loss.expand(self.active)
        skipped = ~torch.isfinite(loss) if self.guard else None
        self._clipper.look_on(gradients.expand(rows), parameters.expand(rows), loss, skipped)

    def branch_from(self, source: "TrialArray", passed_over: Sequence[int]) -> None:
        """Let every active trial go on from where the only trial of ``source`` is.

        Parameters, optimizer state, loss scale, dropout and step become those of that trial. Each keeps its strategy,
        with what that has seen, its learning rate and, from its seed, the order of the data.

        Args:
            source: an array of the same shape and optimizer.
            passed_over: how many batches each trial goes further without a training step, [n].
        """
        active = slice(self.active)
        self.parameters[active] = source.parameters[0]
        for state, other in zip(self._optimizer.state, source._optimizer.state, strict=True):
            state[active] = other[0]
        if self._scaling and source._scaling:
            self._scaling.take_up(source._scaling, self.active)
        self._step[active] = source._step[0] + np.asarray(passed_over)
        self._dropout_key[active] = source._dropout_key[0] + torch.tensor(passed_over, device=self.device)

    def train(self, steps: int) -> Telemetry:
        """Advance every active trial by ``steps`` training steps and report on them.

        The device is waited for once, at the end.
        """
        return Telemetry.recorded([self._train_step() for _ in range(steps)])

    def _train_step(self) -> Tensor:
        """One step of every active trial; loss, norm, applied norm and clipped as rows, [4, n]."""
        active = slice(self.active)
        batch = self._batches.batch(self._step[active])
        parameters, gradients = self.parameters[active], self.gradients[active]
        views = {name: view.detach().requires_grad_() for name, view in self.model.layout.views(parameters).items()}
        limits = self._state_clipper.limits(self.active)
        if self._scaling and limits.any:  # the gradients inside the backward pass are those of scaled losses
            limits = limits._replace(limit=self._scaling.scaled(limits.limit))
        smoothing = self.model.shape.label_smoothing
        loss = self._loss(views, batch, self._dropout_key[active], limits, smoothing=smoothing)
        total = (self._scaling.scaled(loss) if self._scaling else loss).sum()
        computed = torch.autograd.grad(total, list(views.values()))
        for view, gradient in zip(self.model.layout.views(gradients).values(), computed, strict=True):
            view.copy_(gradient)
        if self._scaling:
            self._scaling.unscale(gradients)
        if self.watch is not None:
            self.watch(self.model.layout, gradients, parameters, loss.detach())
        recorded = update(
            parameters,
            gradients,
            loss.detach(),
            self._rates(self._learning_rate[active], self._step[active]),
            clipper=self._clipper,
            optimizer=self._optimizer,
            guard=self.guard,
        )
        if self._scaling:
            recorded = self._scaling.follow(recorded)
        if limits.any:
            recorded[3] += limits.clipped
        self._step[active] += 1
        self._dropout_key[active] += 1
        return recorded

    @torch.no_grad()
    def initial_losses(self, slot: int) -> list[float]:
        """Training loss of a slot's model on each of its first batches; call it before the first step."""
        row = self.parameters[slot : slot + 1].expand(MEASURED_AT_ONCE, -1)
        losses: list[float] = []
        for first in range(0, INITIAL_BATCHES, MEASURED_AT_ONCE):
            batches = self._batches.first_batches(slot, range(first, first + MEASURED_AT_ONCE))
            views = self.model.layout.views(row)
            losses += self._loss(views, batches, smoothing=self.model.shape.label_smoothing).tolist()
        return losses

    @torch.no_grad()
    def validation_loss(self, slot: int) -> float:
        """Loss of a slot's model on the validation examples, in the unit of its loss.

        Labels are not smoothed there: the loss tells how well the targets are predicted, and so can be compared between
        trials of different smoothing.
        """
        return float(self._loss(self.model.layout.views(self.parameters[slot : slot + 1]), self._validation))

    def _loss(
        self,
        views: dict[str, Tensor],
        batch: Batch,
        dropout_keys: Tensor | None = None,
        limits: StateLimits | None = None,
        *,
        smoothing: float = 0.0,
    ) -> Tensor:
        """The loss of each model, computed in the workspace's type."""
        computed = {name: view.to(self.workspace.dtype) for name, view in views.items()}
        return self.model.loss(computed, batch, dropout_keys, limits, smoothing=smoothing)
