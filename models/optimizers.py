"""The optimizers of ``torch.optim`` with a learning rate and hyperparameters per trial.

Shapes: n active trials of at most K slots, P parameters. Updates are in place. A trial whose ``taken`` is 0 skips
the step: neither its parameters nor its optimizer state change; its gradients must be finite all the same (zero).
Each equals the class of ``torch.optim`` that ``OPTIMIZERS`` names, from whose pages the formulas are.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor

from gradstudy.models.optimizer_settings import OptimizerName, OptimizerSettings
from gradstudy.models.slot_values import SlotValues

RMSPROP_DECAY = 0.99
ADADELTA_DECAY = 0.9
NADAM_MOMENTUM_DECAY = 4e-3
RECTIFIED_FROM = 5.0
"""RAdam adapts once the variance of its second moment is known as well as by so many values."""


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

    def of_slot(self, slot: int) -> dict[str, Tensor]:
        """The state of one slot, by name."""
        return {str(place): tensor[slot].clone() for place, tensor in enumerate(self.state)}

    def restore(self, slot: int, state: Mapping[str, Tensor]) -> None:
        """Take up what ``of_slot`` gave."""
        for place, tensor in enumerate(self.state):
            tensor[slot] = state[str(place)]


class NamedOptimizer(Optimizer):
    """An optimizer of the catalogue. All but AdamW take weight decay as a part of the gradient, as torch does."""

    moments = 0
    """Tensors [K, P] that it keeps."""

    def __init__(
        self, settings: OptimizerSettings, slots: int, size: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        self._settings = settings
        self._values = SlotValues(settings.values, slots, dtype, device)
        self.state = tuple(torch.zeros(slots, size, dtype=dtype, device=device) for _ in range(self.moments))
        self._scales: Tensor | None = None
        self._unscaled = partial(torch.ones, slots, size, dtype=dtype, device=device)

    @property
    def name(self) -> OptimizerName:
        """In ``OPTIMIZERS``."""
        return self._settings.name

    def assign(self, slot: int, given: Mapping[str, float], scales: Tensor | None = None) -> None:
        """Give the trial of a slot its own hyperparameters; those that are not ``given`` are the settings'.

        Its learning rate is multiplied, parameter by parameter, by ``scales`` [P], and its weight decay divided.
        """
        self._values.assign(slot, {**self._settings.values, **given})
        if scales is not None:
            self._scales = self._unscaled() if self._scales is None else self._scales
            self._scales[slot] = scales

    def move(self, source: int, target: int) -> None:
        """See Optimizer."""
        super().move(source, target)
        self._values.move(source, target)
        if self._scales is not None:
            self._scales[target] = self._scales[source]

    def step(self, parameters: Tensor, gradients: Tensor, learning_rate: Tensor, taken: Tensor) -> None:
        """See Optimizer."""
        count = len(parameters)
        rate, column = (learning_rate * taken).unsqueeze(1), taken.unsqueeze(1)
        scales = None if self._scales is None else self._scales[:count]
        if self._values.any("weight_decay", count):
            decay = self._values.value("weight_decay", count)
            if self._settings.name == "adamw":
                parameters.mul_(1 - decay * rate)
            else:
                gradients.addcmul_(parameters, decay if scales is None else decay / scales)
        rate = rate if scales is None else rate * scales
        self._update(parameters, gradients, rate, column, [tensor[:count] for tensor in self.state])

    def _value(self, name: str, like: Tensor) -> Tensor:
        """A hyperparameter of the trials that ``like`` has a row of, [n, 1]."""
        return self._values.value(name, len(like))

    def _lack(self, name: str, like: Tensor) -> Tensor:
        """What it lacks to 1, [n, 1]."""
        return self._values.lack(name, len(like))

    @abstractmethod
    def _update(self, parameters: Tensor, gradients: Tensor, rate: Tensor, taken: Tensor, kept: list[Tensor]) -> None:
        """Update parameters [n, P] and what is kept.

        Taken is [n, 1]; the rate, 0 where the step is not taken, as well, or [n, P].
        """


class SGD(NamedOptimizer):
    """w <- w - lr g."""

    def _update(self, parameters: Tensor, gradients: Tensor, rate: Tensor, taken: Tensor, kept: list[Tensor]) -> None:
        parameters.addcmul_(gradients, rate, value=-1)


class Momentum(NamedOptimizer):
    """v <- m v + g; w <- w - lr v; Nesterov's: w <- w - lr (g + m v)."""

    moments = 1

    def _update(self, parameters: Tensor, gradients: Tensor, rate: Tensor, taken: Tensor, kept: list[Tensor]) -> None:
        velocity = kept[0].mul_(1 - taken * self._lack("momentum", taken)).addcmul_(gradients, taken)
        if self._settings.name == "nesterov":
            parameters.addcmul_(gradients, rate, value=-1)
            parameters.addcmul_(velocity, rate * self._value("momentum", taken), value=-1)
        else:
            parameters.addcmul_(velocity, rate, value=-1)


class Adagrad(NamedOptimizer):
    """s <- s + g²; w <- w - lr g / (√s + ε): Duchi et al. 2011."""

    moments = 1

    def _update(self, parameters: Tensor, gradients: Tensor, rate: Tensor, taken: Tensor, kept: list[Tensor]) -> None:
        square = kept[0].addcmul_(gradients * gradients, taken)
        parameters.addcdiv_(gradients * rate, square.sqrt().add_(self._value("epsilon", taken)), value=-1)


class Adadelta(NamedOptimizer):
    """s <- ρ s + (1 - ρ) g²; d = g √(u + ε) / √(s + ε); u <- ρ u + (1 - ρ) d²; w <- w - lr d: Zeiler 2012."""

    moments = 2

    def _update(self, parameters: Tensor, gradients: Tensor, rate: Tensor, taken: Tensor, kept: list[Tensor]) -> None:
        square, moved = kept
        epsilon = self._value("epsilon", taken)
        _average(square, gradients * gradients, taken * (1 - ADADELTA_DECAY))
        change = (moved + epsilon).sqrt_().div_((square + epsilon).sqrt_()).mul_(gradients)
        _average(moved, change * change, taken * (1 - ADADELTA_DECAY))
        parameters.addcmul_(change, rate, value=-1)


class RMSprop(NamedOptimizer):
    """s <- 0.99 s + 0.01 g²; w <- w - lr g / (√s + ε): Hinton 2012."""

    moments = 1

    def _update(self, parameters: Tensor, gradients: Tensor, rate: Tensor, taken: Tensor, kept: list[Tensor]) -> None:
        _average(kept[0], gradients * gradients, taken * (1 - RMSPROP_DECAY))
        parameters.addcdiv_(gradients * rate, kept[0].sqrt().add_(self._value("epsilon", taken)), value=-1)


class Moments(NamedOptimizer):
    """What the optimizers after Adam share: the means of the gradient and of its square, and the steps taken."""

    moments = 2

    def __init__(
        self, settings: OptimizerSettings, slots: int, size: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        super().__init__(settings, slots, size, dtype, device)
        self.state = (*self.state, torch.zeros(slots, 1, dtype=dtype, device=device))

    def _update(self, parameters: Tensor, gradients: Tensor, rate: Tensor, taken: Tensor, kept: list[Tensor]) -> None:
        mean, square, count = kept[:3]
        count.add_(taken)
        lack_1, lack_2 = self._lack("beta1", taken), self._lack("beta2", taken)
        _average(mean, gradients, taken * lack_1)
        _average(square, gradients * gradients, taken * lack_2)
        # A trial that has skipped every step so far has a count of 0 and must not divide by zero.
        steps = count.clamp(min=1)
        self._move(parameters, gradients, rate, kept, steps, _known(lack_1, steps), _known(lack_2, steps))

    @abstractmethod
    def _move(
        self, parameters: Tensor, gradients: Tensor, rate: Tensor, kept: list[Tensor], steps: Tensor, known_1: Tensor,
        known_2: Tensor,
    ) -> None:  # fmt: skip
        """Update the parameters; ``known`` are the shares of the means that gradients make up by now, [n, 1]."""


class Adam(Moments):
    """Kingma and Ba 2014, arXiv 1412.6980; AdamW: Loshchilov and Hutter 2017, arXiv 1711.05101."""

    def _move(
        self, parameters: Tensor, gradients: Tensor, rate: Tensor, kept: list[Tensor], steps: Tensor, known_1: Tensor,
        known_2: Tensor,
    ) -> None:  # fmt: skip
        denominator = kept[1].sqrt().div_(known_2.sqrt()).add_(self._value("epsilon", rate))
        parameters.addcdiv_(kept[0] * (rate / known_1), denominator, value=-1)


class NAdam(Moments):
    """Dozat 2016: Adam with Nesterov's momentum, whose decay begins smaller.

    What is kept of the product of decays is what it lacks to 1, which is 0 at first.
    """

    def __init__(
        self, settings: OptimizerSettings, slots: int, size: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        super().__init__(settings, slots, size, dtype, device)
        self.state = (*self.state, torch.zeros(slots, 1, dtype=dtype, device=device))

    def _move(
        self, parameters: Tensor, gradients: Tensor, rate: Tensor, kept: list[Tensor], steps: Tensor, known_1: Tensor,
        known_2: Tensor,
    ) -> None:  # fmt: skip
        mean, square, _, lacking = kept
        now, coming = self._momentum(steps), self._momentum(steps + 1)
        lacking.copy_(torch.where((rate != 0).any(1, keepdim=True), lacking * now + (1 - now), lacking))
        denominator = square.sqrt().div_(known_2.sqrt()).add_(self._value("epsilon", rate))
        # A trial that has skipped every step so far has no product yet and must not divide by zero.
        known = torch.where(lacking == 0, 1.0, lacking)
        parameters.addcdiv_(gradients * (rate * (1 - now) / known), denominator, value=-1)
        parameters.addcdiv_(mean * (rate * coming / (1 - (1 - lacking) * coming)), denominator, value=-1)

    def _momentum(self, steps: Tensor) -> Tensor:
        return self._value("beta1", steps) * (1 - 0.5 * 0.96 ** (steps * NADAM_MOMENTUM_DECAY))


class RAdam(Moments):
    """Liu et al. 2019, arXiv 1908.03265: as momentum until the variance of the second moment is known."""

    def _move(
        self, parameters: Tensor, gradients: Tensor, rate: Tensor, kept: list[Tensor], steps: Tensor, known_1: Tensor,
        known_2: Tensor,
    ) -> None:  # fmt: skip
        most = 2 / self._lack("beta2", rate) - 1
        length = most - 2 * steps * (1 - known_2) / known_2
        adapts = length > RECTIFIED_FROM
        held = torch.where(adapts, length, RECTIFIED_FROM)
        rectified = ((held - 4) * (held - 2) * most / ((most - 4) * (most - 2) * held)).sqrt()
        factor = known_2.sqrt() / (kept[1].sqrt() + self._value("epsilon", rate))
        parameters.addcmul_(kept[0] * (rate / known_1), torch.where(adapts, rectified * factor, 1.0), value=-1)


def _average(kept: Tensor, new: Tensor, share: Tensor) -> None:
    """Move a mean [n, P] by a share [n, 1] of the way to what is new, in place."""
    kept.mul_(1 - share).addcmul_(new, share)


def _known(lack: Tensor, steps: Tensor) -> Tensor:
    """1 - (1 - lack)^steps without the digits that float32 would lose, [n, 1]."""
    return -torch.expm1(steps * torch.log1p(-lack))


CLASSES: dict[OptimizerName, type[NamedOptimizer]] = {
    "sgd": SGD, "momentum": Momentum, "nesterov": Momentum, "adagrad": Adagrad, "adadelta": Adadelta,
    "rmsprop": RMSprop, "adam": Adam, "adamw": Adam, "nadam": NAdam, "radam": RAdam,
}  # fmt: skip


def make_optimizer(
    settings: OptimizerSettings, slots: int, size: int, dtype: torch.dtype, device: torch.device
) -> NamedOptimizer:
    """An optimizer for ``slots`` trials of ``size`` parameters each."""
    return CLASSES[settings.name](settings, slots, size, dtype, device)
