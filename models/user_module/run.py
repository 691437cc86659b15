"""One trial of the user's own model: its module, the batches that come next, its random numbers."""

import inspect
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from gradstudy.models.array import INITIAL_BATCHES
from gradstudy.models.dropout import dropout_key
from gradstudy.models.user_module.company import Company
from gradstudy.models.user_module.loading import ONE_CELL, UserModule
from gradstudy.models.user_module.padding import Padding
from gradstudy.models.user_module.random_state import RandomState
from gradstudy.models.user_module.returned.batches import endless
from gradstudy.models.user_module.returned.metrics import averaged
from gradstudy.models.user_module.returned.optimizer import OwnOptimizer, as_own_optimizer
from gradstudy.models.user_module.returned.problem import ReturnedError, kind
from gradstudy.models.user_module.state.carried_state import CarriedState, another
from gradstudy.models.user_module.state.history import NOT_DETACHED

RESET = "reset_state"
"""The method that a module may have, to begin its state anew: before training, the initial loss, and a validation."""


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
        known_losses: of the untrained module, on each of the first batches; None where they are to be measured.
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
            self._setup = task.setup(**given)
            self.module = self._setup.module.to(device)
            self.carried = CarriedState(self.module, self._reset_state)
            self._coming = endless(self._setup.batches)
            self._are_made = type(self._setup.batches) in (list, tuple)  # to come, they draw no random numbers
            self.first_batches = [self._moved(next(self._coming)) for _ in range(INITIAL_BATCHES)]
        self._waiting = deque(self.first_batches)
        self.parameters = {name: p for name, p in self.module.named_parameters() if p.requires_grad}
        if not self.parameters:
            raise ReturnedError(f"the module of {task.task} has no parameter to train")
        self.without_gradient: frozenset[str] = frozenset()
        self.known_losses: list[float] | None = None

    @property
    def random_state(self) -> tuple[Any, ...]:
        """Of the generators that only this run draws from: where its batches and their order come from."""
        return self._random.state

    @property
    def loss_function(self) -> Callable[..., Any]:
        """The user's."""
        return self._setup.loss

    @property
    def padding(self) -> Padding | None:
        """How its batches are padded in company."""
        return None if self.company is None else self.company.padding

    @property
    def has_optimizer(self) -> bool:
        """Whether the user's function returned one."""
        return self._setup.optimizer is not None

    def make_optimizer(self, learning_rate: float) -> OwnOptimizer:
        """The user's own optimizer of the parameters, with the schedules that they returned with it.

        Raises:
            ReturnedError: their function returned none.
        """
        if self._setup.optimizer is None:
            raise ReturnedError(
                f"{self._task} must return (module, batches, loss, validation batches, optimizer) for "
                "`--optimizer own`, the last a function of parameters and learning rate, but returned no optimizer"
            )
        with self._random.inside():
            made = self._setup.optimizer(list(self.parameters.values()), learning_rate)
        self.carried = CarriedState(self.module, self._reset_state)  # a learning rate that was set is no state
        return as_own_optimizer(self._task, made)

    def next_batch(self) -> Any:
        """The batch of the next step, on the device; what the module carries begins with the first."""
        if self.steps == 0:
            self._reset_state()
        self.steps += 1
        if self._waiting:
            return self._waiting.popleft()
        if self._are_made:
            return self._moved(next(self._coming))
        with self._random.inside():
            return self._moved(next(self._coming))

    def loss(self, module: nn.Module, batch: Any) -> Tensor:
        """The user's loss; raises ReturnedError where it is no tensor without axes."""
        return self._checked(self._setup.loss(module, batch))

    def _checked(self, loss: Any) -> Tensor:
        if not isinstance(loss, Tensor) or loss.ndim:
            raise ReturnedError(f"the loss of {self._task} must be a tensor without axes, but is {kind(loss)}")
        return loss

    def key(self, step: int) -> int:
        """Of what is dropped in a step, a 64-bit integer."""
        return dropout_key(self.seed) + step

    def gradients(self, batch: Any, step: int, *, advance: bool = True) -> tuple[Tensor, list[Tensor | None]]:
        """Loss of a training step and the gradient of each of ``parameters``, None where it plays no part."""
        trained = list(self.parameters.values())
        self.carried.end_histories(trained)
        with self._random.inside(advance=advance), self._draws_of(step):
            loss = self.loss(self.module, batch)
            try:
                loss.backward()
            except RuntimeError as error:
                if "backward through the graph a second time" in str(error):
                    error.add_note(NOT_DETACHED)
                raise
            finally:
                gradients = [parameter.grad for parameter in trained]
                self.module.zero_grad()
        if self.company is not None:
            self.company.carried |= self.carried.changed()
        return loss.detach(), gradients

    def _reset_state(self) -> None:
        """Tell the module that its state begins anew, if it wants to know."""
        reset = getattr(self.module, RESET, None)
        if callable(reset) and all(
            one.default is not one.empty for one in inspect.signature(reset).parameters.values()
        ):
            with self._random.inside(advance=False):
                reset()

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
        if self.known_losses is not None:
            return self.known_losses
        with self.unchanged(), self._random.inside(advance=False):
            losses = [self._loss_at(step) for step in range(len(self.first_batches))]
        of_all: list[float] = torch.stack(losses).tolist()
        return of_all

    @torch.no_grad()
    def next_initial_loss(self, step: int) -> Tensor:
        """Training loss on one of the first batches, going on from what the module carries; leaves no trace."""
        with self.unchanged(anew=False), self._random.inside(advance=False):
            return self._loss_at(step)

    def _loss_at(self, step: int) -> Tensor:
        with self._draws_of(step):
            return self.loss(self.module, self.first_batches[step])

    @torch.no_grad()
    def validation_loss(self) -> float:
        """Mean loss on the validation batches, in evaluation mode; what the module carries begins anew."""
        of_batch = self._setup.validation_loss
        with self._validating():
            losses = [self._checked(of_batch(self.module, batch)) for batch in self._validation_batches()]
            if not losses:
                raise ValueError("there is no validation batch; an iterator can be used once only: return a list")
            return float(torch.stack(losses).mean())

    @torch.no_grad()
    def metrics(self, *, most: int | None = None) -> dict[str, float]:
        """What is measured beside the loss: means over the validation batches, or the first of them, as for the loss.

        It leaves no trace, and nothing in the loss depends on it.
        """
        found: list[Mapping[str, float]] = []
        if self._setup.measures:
            with self.unchanged(), self._validating():
                for batch in islice(self._validation_batches(), most):
                    found += [measure(self.module, batch) for measure in self._setup.measures]
        return averaged(found)

    def try_metrics(self) -> None:
        """Measure the first batch; raises ReturnedError where that gives no numbers, nothing where the code fails."""
        try:
            self.metrics(most=1)
        except (Exception, SystemExit) as error:  # its trials will say more
            if isinstance(error, ReturnedError):
                raise

    def _validation_batches(self) -> Iterator[Any]:
        if self._setup.validation is None:
            return iter(self.first_batches)
        return map(self._moved, self._setup.validation)

    @contextmanager
    def _validating(self) -> Iterator[None]:
        """In evaluation mode, with what the module carries begun anew; no random number is used up."""
        modes = {module: module.training for module in self.module.modules()}
        self.module.eval()
        try:
            with self.carried.anew(), self._random.inside(advance=False):
                yield
        finally:
            for module, training in modes.items():
                module.training = training

    @contextmanager
    def unchanged(self, *, anew: bool = True) -> Iterator[None]:
        """Give what the module carries and buffers back the values that they had; ``anew`` begins as it was made."""
        kept = [(part._buffers, dict(part._buffers)) for part in self.module.modules() if part._buffers]
        values = [(buffer, buffer.clone()) for _, buffers in kept for buffer in buffers.values() if buffer is not None]
        try:
            with self.carried.anew() if anew else self.carried.replaced(lambda value: another(value, Tensor.clone)):
                yield
        finally:
            for held, buffers in kept:
                held.clear()
                held.update(buffers)
            with torch.no_grad():
                for buffer, value in values:
                    buffer.copy_(value)

    def _moved(self, batch: Any) -> Any:
        if self.device.type == "cpu":
            return batch
        return tree_map(lambda leaf: leaf.to(self.device) if hasattr(leaf, "to") else leaf, batch)
