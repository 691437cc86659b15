"""The catalogue of tasks: what there is, with which options. Does not import torch until a task is loaded."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from gradstudy.models.tasks.errors import TaskError

if TYPE_CHECKING:
    from gradstudy.models.tasks.pairs import TokenPairs


@dataclass(frozen=True)
class Option:
    """A whole number that a task can be given.

    Attributes:
        name: keyword of ``load_task``.
        default: taken when the option is not given.
        low: smallest value accepted.
        high: largest value accepted.
        description: what it sets.
    """

    name: str
    default: int
    low: int
    high: int
    description: str


@dataclass(frozen=True, kw_only=True)
class Task:
    """One source of training data.

    Attributes:
        name: what specs, commands and reports call it.
        description: one line.
        options: what it can be given.
        objective: the loss that its models are trained with.
        loader: ``module:function`` that takes every option as a keyword and returns the data.
    """

    name: str
    description: str
    options: tuple[Option, ...]
    objective: str = "cross_entropy"
    loader: str

    def settings(self, given: Mapping[str, int]) -> dict[str, int]:
        """Every option's value, from ``given`` or by default; raises TaskError if one cannot be accepted."""
        known = {option.name: option for option in self.options}
        for name, value in given.items():
            if name not in known:
                raise TaskError(f"task '{self.name}' has no option '{name}': it takes {', '.join(known)}")
            low, high = known[name].low, known[name].high
            if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
                raise TaskError(
                    f"task '{self.name}': {name} must be a whole number from {low} to {high}, but got {value!r}"
                )
        return {name: option.default for name, option in known.items()} | dict(given)


_EXAMPLES = Option("examples", 10_000, 2, 100_000, "pairs to draw before equal ones are dropped")
_SEED = Option("seed", 0, 0, 2**32 - 1, "seed of the draw, the same for every trial")
_SEQUENCES = (
    Option("max_length", 10, 1, 1000, "symbols in the longest sequence"),
    Option("min_length", 1, 1, 1000, "symbols in the shortest sequence"),
    Option("symbols", 16, 2, 10_000, "different symbols"),
    _EXAMPLES,
    _SEED,
)

_CATALOGUE = (
    Task(
        name="cmudict",
        description="letters to phonemes, the CMU Pronouncing Dictionary without stress marks",
        options=(Option("max_length", 12, 1, 40, "letters or phonemes of the longest word kept"),),
        loader="gradstudy.models.tasks.cmudict:load_cmudict",
    ),
    Task(
        name="numbers",
        description="digits to English words, such as 1204 to one thousand two hundred and four",
        options=(Option("max_length", 6, 1, 18, "digits of the longest number"), _EXAMPLES, _SEED),
        loader="gradstudy.models.tasks.number_words:load_numbers",
    ),
    Task(
        name="copy",
        description="a random sequence of symbols to itself",
        options=_SEQUENCES,
        loader="gradstudy.models.tasks.symbol_sequences:load_copy",
    ),
    Task(
        name="reverse",
        description="a random sequence of symbols to itself, backwards",
        options=_SEQUENCES,
        loader="gradstudy.models.tasks.symbol_sequences:load_reverse",
    ),
)

TASKS: dict[str, Task] = {task.name: task for task in _CATALOGUE}
"""Every task by name."""


def load_task(name: str, **options: int) -> "TokenPairs":
    """The data of a task.

    Raises:
        TaskError: there is no such task or option, an option is out of range, or the task needs a package
            that is not installed.
    """
    if name not in TASKS:
        raise TaskError(f"there is no task '{name}': choose from {', '.join(TASKS)}")
    settings = TASKS[name].settings(options)
    module, _, function = TASKS[name].loader.partition(":")
    pairs: TokenPairs = getattr(import_module(module), function)(**settings)
    return pairs
