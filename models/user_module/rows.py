"""What runs of the user's own model hold in common tensors: parameters, gradients, state of clipping and optimizer."""

# pyright: reportPrivateImportUsage=false
# torch documents its foreach operations, whatever their names begin with.

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from gradstudy.models.array import TrainingRun
from gradstudy.models.clipping import GradientClipper
from gradstudy.models.optimizer_settings import OptimizerSettings
from gradstudy.models.optimizers import NamedOptimizer, make_optimizer
from gradstudy.models.parameters import ParameterLayout
from gradstudy.models.schedules import Schedule
from gradstudy.models.slot_state import named, part_of
from gradstudy.models.step_rates import StepRates
from gradstudy.models.user_module.own_optimizer import OwnOptimizers
from gradstudy.models.user_module.run import ModuleRun


class ModuleRows:
    """A row of each slot: parameters [K, P], gradients [K, P], loss and learning rate [K]."""

    def __init__(
        self,
        run: ModuleRun,
        slots: int,
        schedule: Schedule,
        optimizer: OptimizerSettings | None,
        device: torch.device,
        fail: Callable[[int], None],
    ) -> None:
        """Make rows for runs of the shape of ``run``; raises TypeError where its parameters are of several types.

        Without an optimizer each run has its own; ``fail`` is told the slot whose own one raised the exception that is
        being handled.
        """
        dtypes = {parameter.dtype for parameter in run.parameters.values()}
        if len(dtypes) > 1 or not next(iter(dtypes)).is_floating_point:
            raise TypeError(
                "the parameters must all be of one floating-point type (compute in others with torch.autocast), "
                f"but are {', '.join(sorted(map(str, dtypes)))}"
            )
        (dtype,) = dtypes
        self._shapes = _shapes(run)
        self.layout = ParameterLayout(
            {name: (shape or (1,), 0 if len(shape) > 1 else None) for name, shape in self._shapes.items()}
        )
        self.parameters = torch.zeros(slots, self.layout.size, dtype=dtype, device=device)
        self.gradients = torch.zeros_like(self.parameters)
        self._views: dict[tuple[bool, int], list[Tensor]] = {}
        self.loss = torch.zeros(slots, dtype=dtype, device=device)
        self.learning_rate = torch.zeros_like(self.loss)
        self.step = np.zeros(slots, np.int64)
        self._rates = StepRates(schedule, dtype, device)
        self.optimizer: OwnOptimizers | NamedOptimizer
        if optimizer is None:
            self.optimizer = OwnOptimizers(self.views, fail)
        else:
            self.optimizer = make_optimizer(optimizer, slots, self.layout.size, dtype, device)
        self.make_clipper = partial(GradientClipper, self.layout, slots, schedule.steps, dtype, device)
        self.clipper = self.make_clipper()

    def begin(self, slot: int, made: ModuleRun, run: TrainingRun) -> None:
        """Take in a run's untrained parameters; raises TypeError where they are others than the first run's."""
        if _shapes(made) != self._shapes:
            raise TypeError("every seed must give a model of the same shape, but this one has other parameters")
        for view, parameter in zip(self._of(self.parameters, slot, made), made.parameters.values(), strict=True):
            view.copy_(parameter.detach())
        self.learning_rate[slot] = run.learning_rate
        self.step[slot] = 0
        self.optimizer.reset(slot)
        if isinstance(self.optimizer, OwnOptimizers):
            self.optimizer.begin(slot, made, run.learning_rate)
        else:
            self.optimizer.assign(slot, run.hyperparameters)
        self.clipper.assign(slot, run.strategy, run.threshold)

    def next_rates(self, count: int) -> Tensor:
        """The learning rates of the next step of the first ``count`` slots, [count]."""
        rates = self._rates(self.learning_rate[:count], self.step[:count])
        self.step[:count] += 1
        return rates

    def move(self, source: int, target: int) -> None:
        """Continue the run of one slot in another."""
        for state in (self.parameters, self.learning_rate, self.step):
            state[target] = state[source]
        self.optimizer.move(source, target)
        self.clipper.move(source, target)

    def state(self, slot: int) -> dict[str, Tensor]:
        """What the further training of a slot depends on, by name, copies; raises UnkeptError of an own optimizer."""
        return {
            "parameters": self.parameters[slot].clone(),
            "step": torch.tensor(self.step[slot]),
            **named("optimizer", self.optimizer.of_slot(slot)),
            **named("clipping", self.clipper.state(slot)),
        }

    def restore(self, slot: int, state: Mapping[str, Tensor]) -> None:
        """Take up what ``state`` gave of a slot with the same run."""
        self.parameters[slot] = state["parameters"]
        self.step[slot] = int(state["step"])
        self.optimizer.restore(slot, part_of("optimizer", state))
        self.clipper.restore(slot, part_of("clipping", state))

    def load(self, slot: int, run: ModuleRun) -> None:
        """Give a run's module the parameters of its slot."""
        with torch.no_grad():
            torch._foreach_copy_(list(run.parameters.values()), self._of(self.parameters, slot, run))

    def take_gradients(self, slot: int, run: ModuleRun, gradients: Sequence[Tensor | None]) -> None:
        """Copy a run's gradients into its slot, which holds zeros; None where a parameter plays no part."""
        pairs = zip(self._of(self.gradients, slot, run), gradients, strict=True)
        found = [(view, gradient.to_dense()) for view, gradient in pairs if gradient is not None]
        if found:
            torch._foreach_copy_([view for view, _ in found], [gradient for _, gradient in found])

    def take_all_gradients(self, slots: Sequence[int], run: ModuleRun, gradients: Sequence[Tensor | None]) -> None:
        """Copy gradients, each [n, *shape], into as many slots; see ``take_gradients``."""
        first = list(slots) == list(range(len(slots)))  # slices are copied faster than what an index picks
        into = slice(len(slots)) if first else torch.tensor(slots, device=self.gradients.device)
        for view, gradient in zip(self.views(self.gradients, run).values(), gradients, strict=True):
            if gradient is not None:
                view[into] = gradient

    def store(self, slot: int, run: ModuleRun) -> None:
        """Give a slot the parameters of its run's module, which may change them in its forward pass."""
        with torch.no_grad():
            torch._foreach_copy_(self._of(self.parameters, slot, run), list(run.parameters.values()))

    def views(self, rows: Tensor, run: ModuleRun) -> dict[str, Tensor]:
        """Every parameter's part of ``rows`` [n, P] as [n, *shape], sharing memory."""
        views = self.layout.views(rows)
        return {name: views[name] if run.parameters[name].ndim else views[name].squeeze(1) for name in run.parameters}

    def _of(self, rows: Tensor, slot: int, run: ModuleRun) -> list[Tensor]:
        """Every parameter's part of the row of a slot."""
        key = (rows is self.gradients, slot)
        if key not in self._views:
            self._views[key] = [view[0] for view in self.views(rows[slot : slot + 1], run).values()]
        return self._views[key]


def _shapes(run: ModuleRun) -> dict[str, tuple[int, ...]]:
    return {name: tuple(parameter.shape) for name, parameter in run.parameters.items()}
