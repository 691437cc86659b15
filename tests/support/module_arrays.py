"""Arrays of a user's module, as tests of them want them: SGD at a constant rate, on the processor."""

from typing import Any

import torch

from gradstudy.models.optimizer_settings import OptimizerSettings
from gradstudy.models.schedules import Schedule
from gradstudy.models.user_module.array import ModuleArray
from gradstudy.models.user_module.loading import UserModule


def module_array(user: UserModule, *, slots: int, batch_size: int, steps: int = 40, **given: Any) -> ModuleArray:
    """An array of ``steps`` steps, batched unless it is ``given`` that it is not; with what else an array takes."""
    return ModuleArray(
        user,
        "module",
        slots=slots,
        batch_size=batch_size,
        optimizer=OptimizerSettings("sgd"),
        schedule=Schedule("constant", steps),
        guard=False,
        device=torch.device("cpu"),
        **{"batched": True, **given},
    )
