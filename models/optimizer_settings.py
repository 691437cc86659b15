"""The optimizers by name, and what can be set of each. Does not import torch."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

OptimizerName = Literal[
    "sgd", "momentum", "nesterov", "adagrad", "adadelta", "rmsprop", "adam", "adamw", "nadam", "radam"
]
AnyOptimizerName = Literal[OptimizerName, "own"]
"""``own`` is that of the user's own model, which their function returns."""

OPTIMIZER_STATES: dict[OptimizerName, int] = {
    "sgd": 0, "momentum": 1, "nesterov": 1, "adagrad": 1, "adadelta": 2, "rmsprop": 1, "adam": 2, "adamw": 2,
    "nadam": 2, "radam": 2,
}  # fmt: skip
"""Numbers that an optimizer keeps for each parameter."""

HYPERPARAMETERS = ("momentum", "beta1", "beta2", "epsilon", "weight_decay")
"""What can be set of an optimizer beside its learning rate; each takes some of them."""
CODE_DIGITS = 6


@dataclass(frozen=True)
class OptimizerEntry:
    """An optimizer of the catalogue.

    Attributes:
        torch_class: the class of ``torch.optim`` that it equals.
        defaults: the hyperparameters that it takes, with the values that torch has for them; of ``momentum``, for
            which torch has 0, the one that is in use.
        arguments: what its class takes beside learning rate and hyperparameters, as code.
    """

    torch_class: str
    defaults: Mapping[str, float]
    arguments: str = ""


def _adam(weight_decay: float = 0.0) -> dict[str, float]:
    return {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "weight_decay": weight_decay}


OPTIMIZERS: Mapping[OptimizerName, OptimizerEntry] = {
    "sgd": OptimizerEntry("SGD", {"weight_decay": 0.0}),
    "momentum": OptimizerEntry("SGD", {"momentum": 0.9, "weight_decay": 0.0}),
    "nesterov": OptimizerEntry("SGD", {"momentum": 0.9, "weight_decay": 0.0}, "nesterov=True"),
    "adagrad": OptimizerEntry("Adagrad", {"epsilon": 1e-10, "weight_decay": 0.0}),
    "adadelta": OptimizerEntry("Adadelta", {"epsilon": 1e-6, "weight_decay": 0.0}),
    "rmsprop": OptimizerEntry("RMSprop", {"epsilon": 1e-8, "weight_decay": 0.0}),
    "adam": OptimizerEntry("Adam", _adam()),
    "adamw": OptimizerEntry("AdamW", _adam(weight_decay=1e-2)),
    "nadam": OptimizerEntry("NAdam", _adam()),
    "radam": OptimizerEntry("RAdam", _adam()),
}
"""Every optimizer by name. What torch lets one choose beyond these has torch's default: the decay 0.99 of RMSprop and
0.9 of Adadelta, the momentum decay of NAdam."""


@dataclass(frozen=True)
class OptimizerSettings:
    """An optimizer with its hyperparameters; the learning rate is each trial's own.

    Attributes:
        name: in ``OPTIMIZERS``.
        given: the hyperparameters that differ from the optimizer's defaults, each of which it takes.
    """

    name: OptimizerName = "sgd"
    given: Mapping[str, float] = field(default_factory=dict)

    @property
    def values(self) -> dict[str, float]:
        """Every hyperparameter that the optimizer takes."""
        return {**OPTIMIZERS[self.name].defaults, **self.given}

    def code(self, learning_rate: float, parameters: str = "model.parameters()") -> str:
        """The PyTorch that makes it for ``model``, or for groups of its parameters."""
        entry = OPTIMIZERS[self.name]
        written = [f"lr={learning_rate:g}"]
        if "momentum" in entry.defaults:
            written.append(f"momentum={below_one(self.values['momentum'], CODE_DIGITS)}")
        if entry.arguments:
            written.append(entry.arguments)
        if self.given.keys() & {"beta1", "beta2"}:
            betas = [below_one(self.values[name], CODE_DIGITS) for name in ("beta1", "beta2")]
            written.append(f"betas=({betas[0]}, {betas[1]})")
        if "epsilon" in self.given:
            written.append(f"eps={self.given['epsilon']:g}")
        if "weight_decay" in self.given:
            written.append(f"weight_decay={self.given['weight_decay']:g}")
        return f"torch.optim.{entry.torch_class}({parameters}, {', '.join(written)})"


def below_one(value: float, digits: int) -> float:
    """A number from 0 to below 1, with so many digits of what it lacks to 1: 0.9999995 is not 1."""
    return round(value, digits - 1 - math.floor(math.log10(1 - value)))


def takers(hyperparameter: str) -> list[OptimizerName]:
    """The optimizers that take a hyperparameter."""
    return [name for name, entry in OPTIMIZERS.items() if hyperparameter in entry.defaults]
