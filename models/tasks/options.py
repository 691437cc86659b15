"""What a task can be given: whole numbers, choices, lines, switches, names."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

OptionValue = bool | int | float | str

AUTO = "auto"
"""The value of an option that leaves it to what the file looks like."""


@dataclass(frozen=True)
class Option(ABC):
    """One option of a task.

    Attributes:
        name: keyword of ``load_task``.
        default: taken when the option is not given.
        description: what it sets.
    """

    name: str
    default: OptionValue
    description: str

    @abstractmethod
    def accept(self, given: object) -> OptionValue:
        """The value that is meant; text is taken as a command line gives it.

        Raises:
            ValueError: it cannot be accepted; the text says what can, and what was given.
        """

    @property
    @abstractmethod
    def accepted(self) -> str:
        """What is accepted, in words that follow "must be"."""

    @property
    def shown_default(self) -> str:
        """The default as a command line takes it."""
        return str(self.default)


@dataclass(frozen=True)
class WholeNumber(Option):
    """A whole number from ``low`` to ``high``."""

    low: int
    high: int

    def accept(self, given: object) -> int:
        """See ``Option``."""
        number = given
        if isinstance(given, str) and given.strip().lstrip("+-").isdecimal():
            number = int(given)
        if isinstance(number, bool) or not isinstance(number, int) or not self.low <= number <= self.high:
            raise ValueError(f"must be {self.accepted}, but got {number!r}")
        return number

    @property
    def accepted(self) -> str:
        """See ``Option``."""
        return f"a whole number from {self.low} to {self.high}"


@dataclass(frozen=True)
class Choice(Option):
    """One of a few words.

    Attributes:
        choices: the words.
        signs: what else is taken for some of them.
    """

    choices: tuple[str, ...]
    signs: Mapping[str, str] = field(default_factory=dict)

    def accept(self, given: object) -> str:
        """See ``Option``."""
        if isinstance(given, str) and (word := self.signs.get(given, given)) in self.choices:
            return word
        raise ValueError(f"must be {self.accepted}, but got {given!r}")

    @property
    def accepted(self) -> str:
        """See ``Option``."""
        return " or ".join(self.choices)


@dataclass(frozen=True)
class LineNumber(Option):
    """The number of a line, 0 for none, or ``auto``."""

    def accept(self, given: object) -> str | int:
        """See ``Option``."""
        if given == AUTO:
            return AUTO
        number = int(given) if isinstance(given, str) and given.strip().isdecimal() else given
        if isinstance(number, bool) or not isinstance(number, int) or number < 0:
            raise ValueError(f"must be {self.accepted}, but got {given!r}")
        return number

    @property
    def accepted(self) -> str:
        """See ``Option``."""
        return f"{AUTO}, 0 or the number of a line"


@dataclass(frozen=True)
class Switch(Option):
    """On or off."""

    def accept(self, given: object) -> bool:
        """See ``Option``."""
        meant = {"true": True, "false": False}.get(str(given).lower())
        if meant is None:
            raise ValueError(f"must be {self.accepted}, but got {given!r}")
        return meant

    @property
    def accepted(self) -> str:
        """See ``Option``."""
        return "true or false"

    @property
    def shown_default(self) -> str:
        """See ``Option``."""
        return str(self.default).lower()


@dataclass(frozen=True)
class Names(Option):
    """Names with commas between them; empty for what ``without`` says."""

    without: str = "all"

    def accept(self, given: object) -> str:
        """See ``Option``."""
        if given == "" or (isinstance(given, str) and all(name.strip() for name in given.split(","))):
            return str(given)
        raise ValueError(f"must be {self.accepted}, but got {given!r}")

    @property
    def accepted(self) -> str:
        """See ``Option``."""
        return "names with commas between them"

    @property
    def shown_default(self) -> str:
        """See ``Option``."""
        return self.without
