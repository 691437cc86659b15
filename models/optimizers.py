"""SGD, momentum and Adam with a learning rate per trial, after ``torch.optim``.

Shapes: n active trials of at most K slots, P parameters. Updates are in place. A trial whose ``taken`` is 0 skips
the step: neither its parameters nor its optimizer state change; its gradients must be finite all the same (zero).
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from gradstudy.models.optimizer_names import OptimizerName

OPTIMIZER_STATES: dict[OptimizerName, int] = {"sgd": 0, "momentum": 1, "adam": 2}
"""Numbers that an optimizer keeps for each parameter."""

MOMENTUM = 0.9
BETA_1 = 0.9
BETA_2 = 0.999
EPSILON = 1e-8


class Optimizer(ABC):
    """An optimizer of K slots. Its state is a list of tensors with the slot as first axis."""

    state: tuple[Tensor, ...] = ()

    @abstractmethod
    def step(self, parameters: Tensor, gradients: Tensor, learning_rate: Tensor, taken: Tensor) -> None:
        """Update ``parameters`` [n, P] from ``gradients`` [n, P]; ``learning_rate`` and ``taken`` (0 or 1) are [n]."""

    def reset(self, slot: int) -> None:
        """Forget the state of a slot."""
        for tensor in self.state:
            tensor[slot].zero_()

    def move(self, source: int, target: int) -> None:
        """Copy the state of one slot to another."""
        for tensor in self.state:
            tensor[target].copy_(tensor[source])


class SGD(Optimizer):
    """w <- w - lr g, as ``torch.optim.SGD(lr)``."""

    def step(self, parameters: Tensor, gradients: Tensor, learning_rate: Tensor, taken: Tensor) -> None:
        """See Optimizer."""
        parameters.addcmul_(gradients, (learning_rate * taken).unsqueeze(1), value=-1)


class Momentum(Optimizer):
    """v <- 0.9 v + g; w <- w - lr v, as ``torch.optim.SGD(lr, momentum=0.9)``."""

    def __init__(self, slots: int, size: int, dtype: torch.dtype, device: torch.device) -> None:
        self.velocity = torch.zeros(slots, size, dtype=dtype, device=device)
        self.state = (self.velocity,)

    def step(self, parameters: Tensor, gradients: Tensor, learning_rate: Tensor, taken: Tensor) -> None:
        """See Optimizer."""
        velocity = self.velocity[: len(parameters)]
        velocity.mul_(_decay(MOMENTUM, taken)).addcmul_(gradients, taken.unsqueeze(1))
        parameters.addcmul_(velocity, (learning_rate * taken).unsqueeze(1), value=-1)


class Adam(Optimizer):
    """Kingma and Ba 2014, arXiv 1412.6980, as ``torch.optim.Adam(lr)``."""

    def __init__(self, slots: int, size: int, dtype: torch.dtype, device: torch.device) -> None:
        self.mean = torch.zeros(slots, size, dtype=dtype, device=device)
        self.square = torch.zeros_like(self.mean)
        self.count = torch.zeros(slots, 1, dtype=dtype, device=device)
        self.state = (self.mean, self.square, self.count)

    def step(self, parameters: Tensor, gradients: Tensor, learning_rate: Tensor, taken: Tensor) -> None:
        """See Optimizer."""
        mean, square, count = (tensor[: len(parameters)] for tensor in self.state)
        taken_column = taken.unsqueeze(1)
        count.add_(taken_column)
        mean.mul_(_decay(BETA_1, taken)).addcmul_(gradients, taken_column, value=1 - BETA_1)
        square.mul_(_decay(BETA_2, taken)).addcmul_(gradients * gradients, taken_column, value=1 - BETA_2)
        # A trial that has skipped every step so far has a count of 0 and must not divide by zero.
        steps = count.clamp(min=1)
        step_size = (learning_rate * taken).unsqueeze(1) / (1 - BETA_1**steps)
        denominator = square.sqrt().div_((1 - BETA_2**steps).sqrt()).add_(EPSILON)
        parameters.addcdiv_(mean * step_size, denominator, value=-1)


def _decay(rate: float, taken: Tensor) -> Tensor:
    """``rate`` where the step is taken and 1 elsewhere, [n, 1]."""
    return (1 - taken * (1 - rate)).unsqueeze(1)


def make_optimizer(name: OptimizerName, slots: int, size: int, dtype: torch.dtype, device: torch.device) -> Optimizer:
    """An optimizer for ``slots`` trials of ``size`` parameters each."""
    match name:
        case "sgd":
            return SGD()
        case "momentum":
            return Momentum(slots, size, dtype, device)
        case "adam":
            return Adam(slots, size, dtype, device)
