"""Going back: the last state of a training from which it would not have diverged, and half the learning rate."""

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from torch import nn

from gradstudy.models.clipping import Clipper

STEPS_BETWEEN = 100
"""Between two states that are kept: each is a copy of the model and of the optimizer."""


@dataclass(frozen=True)
class Snapshot:
    """The state of a training before a step."""

    step: int
    model: dict[str, Any]
    optimizer: dict[str, Any]
    clipper: dict[str, Any]
    seen: Mapping[str, float] | None


def take(step: int, model: nn.Module, optimizer: Any, clipper: Clipper, seen: Mapping[str, float] | None) -> Snapshot:
    """Copy the state that a training has now; ``seen`` is that of its monitor, None before the first step."""
    kept, of_optimizer, of_clipper = (deepcopy(each.state_dict()) for each in (model, optimizer, clipper))
    return Snapshot(step, kept, of_optimizer, of_clipper, seen)


def go_back(snapshot: Snapshot, model: nn.Module, optimizer: Any, clipper: Clipper, schedulers: Iterable[Any]) -> None:
    """Take up an earlier state with half the learning rate that the training has now, and in what is to come of it.

    Args:
        snapshot: of the training.
        model: whose state becomes that of the snapshot, as that of the next two.
        optimizer: torch's, or one that is used like it.
        clipper: of its gradients.
        schedulers: of its learning rate, which go on.
    """
    rates = [group["lr"] for group in optimizer.param_groups]
    model.load_state_dict(snapshot.model)
    optimizer.load_state_dict(deepcopy(snapshot.optimizer))
    clipper.load_state_dict(deepcopy(snapshot.clipper))
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        _set_rate(group, "lr", rate)
    for scheduler in schedulers:
        scheduler = getattr(scheduler, "scheduler", scheduler)  # accelerate's holds torch's
        base: Sequence[float] | None = getattr(scheduler, "base_lrs", None)
        if base is not None:
            scheduler.base_lrs = [rate / 2 for rate in base]


def _set_rate(group: dict[str, Any], name: str, rate: float) -> None:
    group[name] = rate / 2
    if "initial_lr" in group:
        group["initial_lr"] /= 2
