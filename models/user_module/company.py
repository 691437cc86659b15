"""What runs share that are trained together: draws, what their modules carry, how batches are padded."""

from collections.abc import Hashable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from torch import Tensor

from gradstudy.models.user_module.draws.keyed_mode import KeyedMode
from gradstudy.models.user_module.padding import Padding, signature
from gradstudy.models.user_module.random_state import Coins, no_random_numbers

if TYPE_CHECKING:
    from gradstudy.models.user_module.state.carried_state import Attribute


class Company:
    """How runs draw random numbers that are trained together.

    Attributes:
        coins: that they share, while what is dropped goes by key; None where each run draws all for itself, which keeps
            a model that draws any from company.
        carried: the attributes that modules were seen to carry from step to step.
        padding: how batches are padded to one shape; None where they are stacked as they are, if they can be.
    """

    def __init__(self, shared_draws: int | None, padding: Padding | None = None) -> None:
        """Make it with the seed of what is shared."""
        self.padding = padding
        self.coins = None if shared_draws is None else Coins(shared_draws)
        self.carried: set[Attribute] = set()

    def signature(self, batch: Any) -> Hashable:
        """What batches must have in common to go through one program."""
        return signature(batch) if self.padding is None else self.padding.signature(batch)

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
