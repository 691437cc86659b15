"""The user's own optimizer, with the schedules that were returned with it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from gradstudy.models.user_module.importing import in_a_line
from gradstudy.models.user_module.returned.problem import Every, ReturnedError, kind


class OwnOptimizer:
    """An optimizer of a user's, and the schedules of its learning rate, which step after it."""

    def __init__(self, optimizer: torch.optim.Optimizer, schedules: list[Every]) -> None:
        self._optimizer, self._schedules = optimizer, schedules
        self._updates = 0
        self.name = type(optimizer).__name__

    def step(self) -> None:
        """Update the parameters, then the learning rate."""
        self._optimizer.step()
        self._updates += 1
        for schedule, updates in self._schedules:
            if self._updates % updates == 0:
                schedule.step()

    def state_dict(self) -> dict[str, Any]:
        """Of the optimizer and its schedules, to go on from."""
        schedules = [every.schedule.state_dict() for every in self._schedules]
        return {"optimizer": self._optimizer.state_dict(), "schedules": schedules, "updates": self._updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where ``state_dict`` was taken."""
        self._optimizer.load_state_dict(state["optimizer"])
        for every, kept in zip(self._schedules, state["schedules"], strict=True):
            every.schedule.load_state_dict(kept)
        self._updates = state["updates"]


SOME_RATE = 1e-3
"""The learning rate of an optimizer that is made to see that it can be."""


@dataclass(frozen=True)
class TriedOptimizer:
    """An optimizer that the user's function returned: its name, and why it cannot be used, in a sentence."""

    name: str
    error: str | None = None


def try_optimizer(make: Callable[[float], OwnOptimizer]) -> TriedOptimizer:
    """What becomes of the user's own optimizer when it is made.

    Args:
        make: it, from a learning rate; raises whatever the user's code raises.
    """
    try:
        return TriedOptimizer(make(SOME_RATE).name)
    except ReturnedError as error:
        said = str(error)
    except (Exception, SystemExit) as error:
        said = "the optimizer that your function returns cannot be made; mend it, or say --optimizer NAME: "
        said += in_a_line(error)
    return TriedOptimizer("own optimizer", said)


def as_own_optimizer(task: str, made: Any) -> OwnOptimizer:
    """What the user's function for an optimizer returned: it, or it with its schedules, or lists of these.

    Raises:
        ReturnedError: it is something else.
    """
    given, schedules = made if isinstance(made, tuple) and len(made) == 2 else (made, [])
    optimizers = _listed(given)
    every = [one if isinstance(one, Every) else Every(one, 1) for one in _listed(schedules)]
    right = len(optimizers) == 1 and isinstance(optimizers[0], torch.optim.Optimizer)
    if not right or not all(isinstance(one.schedule, LRScheduler) for one in every):
        raise ReturnedError(
            f"the optimizer of {task} must be a function that returns a torch.optim.Optimizer, or that and "
            f"its schedules of torch.optim.lr_scheduler as (optimizer, schedule), but it returned {kind(made)}"
        )
    if any(isinstance(one.schedule, ReduceLROnPlateau) for one in every):
        raise ReturnedError(
            f"a schedule of {task} must step by itself, but ReduceLROnPlateau waits for a loss: return another, or none"
        )
    return OwnOptimizer(optimizers[0], every)


def _listed(given: Any) -> list[Any]:
    """What may be one thing or several, as Lightning takes it."""
    return list(given) if isinstance(given, (list, tuple)) and not isinstance(given, Every) else [given]
