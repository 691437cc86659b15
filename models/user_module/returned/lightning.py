"""Modules and data modules of Lightning's, known by their methods: Lightning itself is not needed.

They are used without a trainer: their steps, their optimizer and their loaders; other hooks are not called.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torch import Tensor, nn

from gradstudy.models.user_module.returned.metrics import NAME
from gradstudy.models.user_module.returned.problem import Every, Measure, ReturnedError, as_number, is_number, kind

LEARNING_RATES = ("lr", "learning_rate")
"""Attributes of a module, or of its ``hparams``, by which Lightning itself sets a learning rate."""

LIGHTNING = frozenset({"lightning", "pytorch_lightning"})
"""The packages whose own methods only say that there is none."""


def has_own(given: Any, method: str) -> bool:
    """Whether an object has a method that is not Lightning's own, which stands there for none."""
    definer = next((one for one in type(given).__mro__ if method in vars(one)), None)
    is_lightnings = definer is not None and definer.__module__.partition(".")[0] in LIGHTNING
    return callable(getattr(given, method, None)) and not is_lightnings


def is_data_module(given: Any) -> bool:
    """Whether batches are those of a data module."""
    return callable(getattr(given, "train_dataloader", None)) and not isinstance(given, (nn.Module, Iterable))


def loaders_of(task: str, data: Any) -> tuple[Iterable[Any], Iterable[Any] | None]:
    """The batches of a data module for training and for validation; raises ReturnedError where there are several."""
    for method, given in (("prepare_data", ()), ("setup", ("fit",))):
        if has_own(data, method):
            getattr(data, method)(*given)
    train = data.train_dataloader()
    validation = data.val_dataloader() if has_own(data, "val_dataloader") else None
    for name, loader in (("train_dataloader", train), ("val_dataloader", validation)):
        if isinstance(loader, (list, tuple, Mapping)) or (loader is not None and not isinstance(loader, Iterable)):
            raise ReturnedError(f"{name} of {task} must return one loader, but returned {kind(loader)}")
    return train, validation


class Steps:
    """The steps of a module without a trainer, to which ``self.log`` does nothing in training.

    What it logs in a step of validation are numbers that are measured.
    """

    def __init__(self, task: str, module: nn.Module) -> None:
        """Take a module's steps.

        Raises:
            ReturnedError: it optimizes by itself.
        """
        if getattr(module, "automatic_optimization", True) is False:
            raise ReturnedError(
                f"{type(module).__name__} of {task} must leave optimization to others, but has "
                "automatic_optimization = False: return (module, batches, loss) with a function loss(module, batch)"
            )
        self._task, self._logged = task, dict[str, Any]()
        self._measures = False
        vars(module)["log"] = self._log
        vars(module)["log_dict"] = self._log_dict
        self._validates = has_own(module, "validation_step")

    def training_loss(self, module: nn.Module, batch: Any) -> Tensor:
        """The loss of ``training_step``; raises ReturnedError where it returns none."""
        loss = _loss_in(_called(module, "training_step", batch))
        if not isinstance(loss, Tensor):
            raise ReturnedError(
                f"training_step of {type(module).__name__} of {self._task} must return a loss, or a dictionary with "
                f"one, but returned {kind(loss)}"
            )
        return loss

    def validation_loss(self, module: nn.Module, batch: Any) -> Tensor:
        """The loss that ``validation_step`` returns; where it returns none, that of ``training_step``."""
        loss = _loss_in(_called(module, "validation_step", batch)) if self._validates else None
        return loss if isinstance(loss, Tensor) and loss.ndim == 0 else self.training_loss(module, batch)

    def measures(self) -> tuple[Measure, ...]:
        """What ``validation_step`` logs, where there is one."""
        return (self._measure,) if self._validates else ()

    def _measure(self, module: nn.Module, batch: Any) -> Mapping[str, float]:
        self._measures = True
        try:
            _called(module, "validation_step", batch)
            found = {_plain(name): _of_batch(value) for name, value in self._logged.items()}
            return {name: as_number(value) for name, value in found.items() if is_number(value)}
        finally:
            self._measures = False
            self._logged.clear()

    def _log(self, name: str, value: Any, *_: Any, **__: Any) -> None:
        if self._measures:  # in training a value holds the graph of its step
            self._logged[name] = value

    def _log_dict(self, dictionary: Mapping[str, Any], *_: Any, **__: Any) -> None:
        for name, value in dictionary.items():
            self._log(name, value)


def configured_optimizer(task: str, module: nn.Module, batches: Any) -> Callable[[list[nn.Parameter], float], Any]:
    """``configure_optimizers`` as a function of parameters and learning rate, which sets it as Lightning's tuner does.

    The function made raises ReturnedError where the learning rate cannot be set, or what was returned is not one
    optimizer with at most schedules.
    """

    def optimizer(parameters: list[nn.Parameter], learning_rate: float) -> Any:
        made = []
        for rate in (2 * learning_rate, learning_rate):  # two, to see that they make a difference
            _set_learning_rate(task, module, rate)
            made.append(_optimizer_and_schedules(task, module.configure_optimizers(), batches))  # type: ignore[operator]
        other, chosen = ([group.get("initial_lr", group["lr"]) for group in one.param_groups] for one, _ in made)
        if any(one == another for one, another in zip(other, chosen, strict=True)):
            raise ReturnedError(_not_taken(task, module, "has a learning rate of its own"))
        return made[1]

    return optimizer


def _set_learning_rate(task: str, module: nn.Module, rate: float) -> None:
    holders = [module, getattr(module, "hparams", None)]
    found = [(one, name) for one in holders for name in LEARNING_RATES if one is not None and _has(one, name)]
    if not found:
        raise ReturnedError(_not_taken(task, module, "has neither"))
    for one, name in found:
        if isinstance(one, dict):
            one[name] = rate
        else:
            setattr(one, name, rate)


def _has(holder: Any, name: str) -> bool:
    return name in holder if isinstance(holder, dict) else hasattr(holder, name)


def _not_taken(task: str, module: nn.Module, instead: str) -> str:
    return (
        f"configure_optimizers of {type(module).__name__} of {task} must take its learning rate from self.lr or "
        f"self.learning_rate, or from self.hparams, for a study to set it, but {instead}; or say --optimizer NAME"
    )


def _optimizer_and_schedules(task: str, given: Any, batches: Any) -> tuple[Any, list[Every]]:
    """The optimizer, and each schedule with the steps from one of its own to the next, an epoch where none is said."""
    schedules: list[Any] = []
    if isinstance(given, (list, tuple)) and len(given) == 2 and isinstance(given[0], (list, tuple)):
        given, schedules = given
    if isinstance(given, (list, tuple)) and len(given) == 1:
        (given,) = given
    if isinstance(given, Mapping):
        given, schedules = given.get("optimizer"), given.get("lr_scheduler", [])
    if not hasattr(given, "param_groups"):
        raise ReturnedError(
            f"configure_optimizers of {task} must return one optimizer, with or without schedules, "
            f"but returned {kind(given)}"
        )
    listed = schedules if isinstance(schedules, (list, tuple)) else [schedules]
    return given, [_with_interval(task, one, batches) for one in listed]


def _with_interval(task: str, schedule: Any, batches: Any) -> Every:
    config = schedule if isinstance(schedule, Mapping) else {"scheduler": schedule}
    every = int(config.get("frequency", 1))
    if config.get("interval", "epoch") == "step":
        return Every(config["scheduler"], every)
    try:
        return Every(config["scheduler"], every * len(batches))
    except TypeError:
        raise ReturnedError(
            f"a schedule of {task} steps once an epoch, whose length its {kind(batches)} does not say: "
            'return {"scheduler": schedule, "interval": "step"}, or a DataLoader'
        ) from None


def _called(module: nn.Module, method: str, batch: Any) -> Any:
    """Call a step with the batch, and with its number, which is 0, where it takes one, as Lightning does."""
    step = getattr(module, method)
    parameters = inspect.signature(step).parameters
    takes_number = "batch_idx" in parameters or len(parameters) > 1
    return step(batch, 0) if takes_number else step(batch)


def _loss_in(returned: Any) -> Any:
    return returned.get("loss") if isinstance(returned, Mapping) else returned


def _of_batch(logged: Any) -> Any:
    """What was logged; of a metric object as torchmetrics has them its number, and it begins anew."""
    if isinstance(logged, Tensor) or not (has_own(logged, "compute") and has_own(logged, "reset")):
        return logged
    value = logged.compute()
    logged.reset()
    return value


def _plain(name: str) -> str:
    """A name as it is stored."""
    plain = "".join(letter if NAME.fullmatch(f"a{letter}") else "_" for letter in name)[:64]
    return plain if NAME.fullmatch(plain) else f"m{plain}"[:64]
