"""One entry of the catalogue of tasks. Does not import torch."""

from collections.abc import Mapping
from dataclasses import dataclass

from gradstudy.models.cell_names import RECURRENT_CELLS
from gradstudy.models.loss_names import LossKind
from gradstudy.models.tasks.errors import TaskError
from gradstudy.models.tasks.options import Option, OptionValue

VALUE_LOSSES: tuple[LossKind, ...] = ("mse", "mae", "huber")


@dataclass(frozen=True, kw_only=True)
class Task:
    """One source of training data.

    Attributes:
        name: what specs, commands and reports call it.
        description: one line.
        options: what it can be given.
        losses: what its models can be trained with, the default first.
        cells: what its models can be made of.
        reads_file: whether the name is followed by a colon and a file.
        decodes: whether a decoder unrolls its targets, so that attention has something to attend from.
        loader: ``module:function`` that takes every option, and the ``path`` of the file, as keywords and returns the
            data.
    """

    name: str
    description: str
    options: tuple[Option, ...]
    losses: tuple[LossKind, ...] = ("cross_entropy",)
    cells: tuple[str, ...] = RECURRENT_CELLS
    reads_file: bool = False
    decodes: bool = True
    loader: str

    @property
    def usage(self) -> str:
        """The name as it is given."""
        return f"{self.name}:FILE" if self.reads_file else self.name

    def accept(self, given: Mapping[str, object]) -> dict[str, OptionValue]:
        """The given options as they are meant; raises TaskError if one cannot be accepted."""
        known = {option.name: option for option in self.options}
        accepted = {}
        for name, value in given.items():
            if name not in known:
                raise TaskError(f"task '{self.name}' has no option '{name}': it takes {', '.join(known) or 'none'}")
            try:
                accepted[name] = known[name].accept(value)
            except ValueError as error:
                raise TaskError(f"task '{self.name}': {name} {error}") from None
        return accepted

    def settings(self, given: Mapping[str, object]) -> dict[str, OptionValue]:
        """Every option's value, from ``given`` or by default; raises TaskError if one cannot be accepted."""
        return {option.name: option.default for option in self.options} | self.accept(given)

    def check_loss(self, loss: LossKind | None) -> None:
        """Raise TaskError unless the task's models can be trained with this loss; None is the default."""
        if loss is not None and loss not in self.losses:
            raise TaskError(f"task '{self.name}' is trained with {' or '.join(self.losses)}, but got {loss!r}")
