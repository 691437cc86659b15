"""The user's own optimizers, one for each run of their own model, behind the interface of those of an array."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gradstudy.models.optimizers import Optimizer
from gradstudy.models.user_module.run import ModuleRun
from gradstudy.models.user_module.state.kept import from_tensor, to_tensor

if TYPE_CHECKING:
    from gradstudy.models.user_module.returned.optimizer import OwnOptimizer


class OwnOptimizers(Optimizer):
    """Steps of ``torch.optim`` optimizers on the parameters of modules, whose rows follow.

    What an optimizer raises ends its run only.
    """

    def __init__(self, views: Callable[[Tensor, ModuleRun], dict[str, Tensor]], fail: Callable[[int], None]) -> None:
        """Begin without a run.

        Args:
            views: gives every parameter's part of rows [n, P], see ``ModuleRows.views``.
            fail: is told the slot whose optimizer raised the exception that is being handled.
        """
        self._views, self._fail = views, fail
        self._runs: dict[int, tuple[ModuleRun, OwnOptimizer]] = {}

    def begin(self, slot: int, run: ModuleRun, learning_rate: float) -> None:
        """Have the optimizer of a run made; raises ReturnedError where the user's function returned none."""
        self._runs[slot] = run, run.make_optimizer(learning_rate)

    def step(self, parameters: Tensor, gradients: Tensor, learning_rate: Tensor, taken: Tensor) -> None:
        """See Optimizer; the learning rate is the one that each optimizer was made with."""
        for slot, is_taken in enumerate(taken.tolist()):
            if slot not in self._runs or not is_taken:
                continue
            run, optimizer = self._runs[slot]
            rows = slice(slot, slot + 1)
            views, given = self._views(parameters[rows], run), self._views(gradients[rows], run)
            with torch.no_grad():
                for name, parameter in run.parameters.items():
                    parameter.copy_(views[name][0])
                    parameter.grad = None if name in run.without_gradient else given[name][0].clone()
            try:
                optimizer.step()
            except (Exception, SystemExit):
                del self._runs[slot]
                self._fail(slot)
                continue
            for name, parameter in run.parameters.items():
                views[name][0].copy_(parameter.detach())
                parameter.grad = None

    def of_slot(self, slot: int) -> dict[str, Tensor]:
        """See Optimizer; raises UnkeptError where the user's optimizer has a state that cannot be kept."""
        return {"own": to_tensor(self._runs[slot][1].state_dict())} if slot in self._runs else {}

    def restore(self, slot: int, state: Mapping[str, Tensor]) -> None:
        """See Optimizer."""
        if slot in self._runs:
            self._runs[slot][1].load_state_dict(from_tensor(state["own"]))

    def reset(self, slot: int) -> None:
        """Forget the run of a slot."""
        self._runs.pop(slot, None)

    def move(self, source: int, target: int) -> None:
        """Continue the run of one slot in another."""
        self.reset(target)
        if source in self._runs:
            self._runs[target] = self._runs.pop(source)
