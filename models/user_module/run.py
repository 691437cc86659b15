"""One trial of the user's own model: its module, the batches that come next, its random numbers."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import count
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler
from torch.utils._pytree import tree_map

from gradstudy.models.array import INITIAL_BATCHES
from gradstudy.models.dropout import dropout_key
from gradstudy.models.user_module.carried_state import CarriedState
from gradstudy.models.user_module.keyed_mode import KeyedMode
from gradstudy.models.user_module.loading import ONE_CELL, UserModule
from gradstudy.models.user_module.random_state import Coins, RandomState, no_random_numbers

NOT_DETACHED = "A state that the model carries from batch to batch must be detached: hidden = hidden.detach()."


class OwnOptimizer(NamedTuple):
    """An optimizer of a user's, and the schedules of its learning rate, which step after it."""

    optimizer: torch.optim.Optimizer
    schedules: list[LRScheduler]

    def step(self) -> None:
        """Update the parameters, then the learning rate."""
        self.optimizer.step()
        for schedule in self.schedules:
            schedule.step()


class Company:
    """How runs draw random numbers that are trained together.

    Attributes:
        coins: that they share, while what is dropped goes by key; None where each run draws all for itself, which keeps
            a model that draws any from company.
    """

    def __init__(self, shared_draws: int | None) -> None:
        """Make it with the seed of what is shared."""
        self.coins = None if shared_draws is None else Coins(shared_draws)

    @property
    def has_coins(self) -> bool:
        """Whether the model was seen to draw any."""
        return self.coins is not None and self.coins.drawn

    def draws(self, steps: Sequence[int]) -> AbstractContextManager[None]:
        """In which a batch of runs draws, each at its step; raises RandomNumbersError where it must not."""
        return no_random_numbers() if self.coins is None else self.coins.of_steps(steps)

    @contextmanager
    def draws_alone(self, key: Tensor, step: int) -> Iterator[None]:
        """In which one of the runs draws what it would draw in a batch."""
        if self.coins is None:
            yield
            return
        with KeyedMode(key), self.coins.of_step(step):
            yield


class ModuleRun:
    """A problem that the user's function made for one seed; the function and all that it draws see that seed only.

    Attributes:
        seed: of the run.
        steps: how many batches of training it was given.
        device: where it computes.
        company: how it draws, see ``__init__``.
        rooms: how long the tapes of its last forward pass in a batch were, see ``BatchedLayers``.
        module: of the problem.
        carried: what the module keeps from one batch to the next.
        first_batches: of training.
        parameters: of the module that are trained, by name.
        without_gradient: names of those that play no part in the loss of this step.
    """

    def __init__(
        self,
        task: UserModule,
        seed: int,
        cell: str,
        batch_size: int,
        device: torch.device,
        company: Company | None = None,
    ) -> None:
        """Have the problem made; raises whatever the user's code raises.

        A run that has ``company`` draws in training as if it were in company, alone as well.
        """
        self.seed, self.steps, self.company = seed, 0, company
        self.device, self._task = device, task.task
        self.rooms: dict[int, int] = {}
        self._random = RandomState(seed, device)
        given = {"seed": seed, "batch_size": batch_size, "device": device}
        if cell != ONE_CELL:
            given["cell"] = cell
        with self._random.inside():
            problem = task.problem(**given)
            self.module = problem.module.to(device)
            self.carried = CarriedState(self.module)
            self._loss, self._validation = problem.loss, problem.validation
            self._optimizer = problem.optimizer
            self._coming = _endless(problem.batches)
            self.first_batches = [self._moved(next(self._coming)) for _ in range(INITIAL_BATCHES)]
        self._waiting = deque(self.first_batches)
        self.module.zero_grad()
        self.parameters = {name: p for name, p in self.module.named_parameters() if p.requires_grad}
        if not self.parameters:
            raise ValueError(f"the module of {task.task} has no parameter to train")
        self.without_gradient: frozenset[str] = frozenset()

    @property
    def loss_function(self) -> Callable[..., Tensor]:
        """The user's."""
        return self._loss

    @property
    def has_optimizer(self) -> bool:
        """Whether the user's function returned one."""
        return self._optimizer is not None

    def make_optimizer(self, learning_rate: float) -> OwnOptimizer:
        """The user's own optimizer of the parameters, with the schedules that they returned with it.

        Raises:
            TypeError: their function returned none.
        """
        if self._optimizer is None:
            raise TypeError(
                f"{self._task} must return (module, batches, loss, validation batches, optimizer) for "
                "`--optimizer own`, the last a function of parameters and learning rate, but returned no optimizer"
            )
        with self._random.inside():
            made = self._optimizer(list(self.parameters.values()), learning_rate)
        given, schedules = made if isinstance(made, tuple) and len(made) == 2 else (made, [])
        optimizers, schedules = _listed(given), _listed(schedules)
        right = len(optimizers) == 1 and isinstance(optimizers[0], torch.optim.Optimizer)
        if not right or not all(isinstance(one, LRScheduler) for one in schedules):
            raise TypeError(
                f"the optimizer of {self._task} must be a function that returns a torch.optim.Optimizer, or that and "
                f"its schedules of torch.optim.lr_scheduler as (optimizer, schedule), but it returned {_kind(made)}"
            )
        return OwnOptimizer(optimizers[0], schedules)

    def next_batch(self) -> Any:
        """The batch of the next step, on the device."""
        self.steps += 1
        if self._waiting:
            return self._waiting.popleft()
        with self._random.inside():
            return self._moved(next(self._coming))

    def loss(self, module: nn.Module, batch: Any) -> Tensor:
        """The user's loss; raises TypeError where it is no tensor without axes."""
        loss = self._loss(module, batch)
        if not isinstance(loss, Tensor) or loss.ndim:
            given = f"a tensor of shape {list(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
            raise TypeError(f"the loss must be a tensor without axes, but is {given}")
        return loss

    def key(self, step: int) -> int:
        """Of what is dropped in a step, a 64-bit integer."""
        return dropout_key(self.seed) + step

    def gradients(self, batch: Any, step: int, *, advance: bool = True) -> tuple[Tensor, list[Tensor | None]]:
        """Loss of a training step and the gradient of each of ``parameters``, None where it plays no part."""
        with self._random.inside(advance=advance), self._draws_of(step):
            loss = self.loss(self.module, batch)
            try:
                loss.backward()
            except RuntimeError as error:
                if "backward through the graph a second time" in str(error):
                    error.add_note(NOT_DETACHED)
                raise
            finally:
                gradients = [parameter.grad for parameter in self.parameters.values()]
                self.module.zero_grad()
        return loss.detach(), gradients

    def _draws_of(self, step: int) -> AbstractContextManager[None]:
        """Draw what a run draws in a step, as it would in company."""
        if self.company is None:
            return nullcontext()
        return self.company.draws_alone(torch.tensor(self.key(step), device=self.device), step)

    def note_gradients(self, gradients: Sequence[Tensor | None]) -> None:
        """Take note of which of ``parameters`` have a gradient in this step."""
        named = zip(self.parameters, gradients, strict=True)
        self.without_gradient = frozenset(name for name, gradient in named if gradient is None)

    @torch.no_grad()
    def initial_losses(self) -> list[float]:
        """Training loss on each of the first batches; leaves no trace in buffers, state and random numbers."""
        losses = []
        with self.unchanged(), self._random.inside(advance=False):
            for step, batch in enumerate(self.first_batches):
                with self._draws_of(step):
                    losses.append(self.loss(self.module, batch))
        of_all: list[float] = torch.stack(losses).tolist()
        return of_all

    @torch.no_grad()
    def validation_loss(self) -> float:
        """Mean loss on the validation batches, in evaluation mode; what the module carries begins anew."""
        modes = {module: module.training for module in self.module.modules()}
        self.module.eval()
        try:
            with self.carried.anew(), self._random.inside(advance=False):
                batches = self.first_batches if self._validation is None else map(self._moved, self._validation)
                return self._mean(batches)
        finally:
            for module, training in modes.items():
                module.training = training

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """Begin with what the module carries as it was made; give that and buffers back the values that they had."""
        kept = {name: buffer.clone() for name, buffer in self.module.named_buffers()}
        try:
            with self.carried.anew():
                yield
        finally:
            with torch.no_grad():
                for name, buffer in self.module.named_buffers():
                    buffer.copy_(kept[name])

    def _mean(self, batches: Iterable[Any]) -> float:
        losses = [self.loss(self.module, batch) for batch in batches]
        if not losses:
            raise ValueError("there is no validation batch; an iterator can be used once only: return a list")
        return float(torch.stack(losses).mean())

    def _moved(self, batch: Any) -> Any:
        if self.device.type == "cpu":
            return batch
        return tree_map(lambda leaf: leaf.to(self.device) if hasattr(leaf, "to") else leaf, batch)


def _listed(given: Any) -> list[Any]:
    """What may be one thing or several, as Lightning takes it."""
    return list(given) if isinstance(given, (list, tuple)) else [given]


def _kind(given: Any) -> str:
    if isinstance(given, (list, tuple)):
        return f"a {type(given).__name__} of {', '.join(map(_kind, given)) or 'nothing'}"
    return type(given).__name__


def _endless(batches: Iterable[Any] | Callable[[int], Any]) -> Iterator[Any]:
    """One batch after the other, epoch after epoch; raises ValueError where they end."""
    if callable(batches):
        yield from map(batches, count())
        return
    given = 0
    for epoch in count():
        before = given
        for batch in batches:
            given += 1
            yield batch
        if given == before:
            what = "there are none" if epoch == 0 else f"they ended after {given} and cannot be iterated over again"
            raise ValueError(f"batches must not end, but {what}: return a list, a DataLoader or a function of the step")
