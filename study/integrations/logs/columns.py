"""Which columns of a log are the loss, the gradient's norm, the learning rate and the step."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from gradstudy.study.errors import LogError

TRAINING = frozenset({"train", "training", "tr", "batch", "running"})
VALIDATION = frozenset({"val", "valid", "validation", "eval", "evaluation", "test", "dev", "heldout"})
LOSSES = frozenset({"loss", "losses", "nll", "xent", "mse", "mae", "objective", "cost", "crossentropy", "ce", "bpc"})
NORMS = (
    "gradnorm",
    "gradientnorm",
    "gnorm",
    "totalnorm",
    "globalnorm",
    "gradglobalnorm",
    "globalgradnorm",
    "normtotal",
)
RATES = frozenset({"lr", "learningrate", "lrs"})
STEPS = (
    *("globalstep", "trainerglobalstep", "trainglobalstep", "step", "steps", "iteration", "iterations", "iter", "it"),
    *("itr", "numupdates", "updates", "update", "batch", "batchidx", "epoch", "epochs"),
)
"""The best first."""
EPOCHS = ("epoch", "epochs", "trainepoch")
WITHIN_EPOCHS = ("batch", "batchidx", "iter", "it", "itr")
"""Steps that count within an epoch, where they begin anew."""
PERHAPS_WITHIN = ("step", "iteration")
"""Steps that may do so, where there is an epoch beside them."""
RARE = 0.1
"""Share of the values of another training loss below which one is a summary, such as Hugging Face's ``train_loss``."""
SHOWN = 12
"""Columns that an error names."""


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Names of columns.

    Attributes:
        loss: of training, or of validation where there is no other.
        is_validation: whether it is of validation.
        validation: the loss of validation beside it, if any.
        norm: of the gradient, if any.
        rate: the learning rate, if any.
        step: None where the place in the log has to do.
        epoch: if there is one beside the step.
    """

    loss: str
    is_validation: bool
    validation: str | None
    norm: str | None
    rate: str | None
    step: str | None
    epoch: str | None

    @property
    def wanted(self) -> frozenset[str]:
        """All that are read."""
        named = (self.loss, self.validation, self.norm, self.rate, self.step, self.epoch)
        return frozenset(name for name in named if name is not None)


def choose_columns(seen: Mapping[str, int], given: Mapping[str, str], name: str) -> Columns | None:
    """The columns of a log; None where it has nothing like a loss.

    Args:
        seen: the names of its numbers, with how many there are of each.
        given: the columns that the person named, by what they are: loss, norm, rate, step.
        name: of the log.

    Raises:
        LogError: it lacks a column that was named.
    """
    for what, column in given.items():
        if column not in seen:
            option = {"rate": "lr"}.get(what, what)
            raise LogError(f"--{option} names a column, but {name} has no {column!r}; it has {shown(seen)}")
    losses = sorted(filter(_is_loss, seen), key=_order_of_loss)
    training = [column for column in losses if not _is_of_validation(column)]
    often = RARE * max((seen[column] for column in training), default=0)
    training = [column for column in training if seen[column] >= often]
    validation = [column for column in losses if _is_of_validation(column)]
    loss = given.get("loss") or next(iter([*training, *validation]), None)
    if loss is None:
        return None
    of_training = [column for column in seen if not _is_of_validation(column)]
    step = given.get("step") or _first(seen, STEPS)
    epoch = _first(seen, EPOCHS)
    return Columns(
        loss=loss,
        is_validation=_is_of_validation(loss),
        validation=next((column for column in validation if column != loss), None),
        norm=given.get("norm") or _first(of_training, NORMS, last=True),
        rate=given.get("rate") or next((column for column in seen if _is_rate(column)), None),
        step=step,
        epoch=epoch if epoch != step else None,
    )


def counts_within_epochs(column: str, *, has_epochs: bool) -> bool:
    """Whether a step of this name that begins anew does so with an epoch, rather than with another run."""
    return _joined(column) in WITHIN_EPOCHS or (has_epochs and _joined(column) in PERHAPS_WITHIN)


def is_epoch(column: str) -> bool:
    """Whether a step of this name is an epoch."""
    return _joined(column) in EPOCHS


def is_squared(column: str) -> bool:
    """Whether the name of a loss says that it is of squared errors."""
    return bool({"mse", "l2", "squared"} & set(_words(column)))


def shown(seen: Collection[str]) -> str:
    """Names of columns, some of them."""
    if not seen:
        return "no number with a name"
    more = len(seen) - SHOWN
    return ", ".join(list(seen)[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def _words(column: str) -> list[str]:
    parted = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", column)
    return [word for word in re.split(r"[\W_]+", parted.casefold()) if word]


def _joined(column: str) -> str:
    return "".join(_words(column))


def _is_of_validation(column: str) -> bool:
    return bool(VALIDATION & set(_words(column)))


def _is_loss(column: str) -> bool:
    words = _words(column)
    return bool(LOSSES & set(words)) and not {"scale", "weight", "min", "max", "best", "lr", "grad"} & set(words)


def _order_of_loss(column: str) -> tuple[int, ...]:
    """Of training first, of single steps before means of epochs, plain before parts of a loss."""
    words = _words(column)
    plain = set(words) - TRAINING - VALIDATION - LOSSES - {"step", "epoch", "total", "avg", "mean", "average"}
    return ("loss" not in words, len(plain), not TRAINING & set(words), "epoch" in words, len(words))


def _is_rate(column: str) -> bool:
    words = _words(column)
    return bool(RATES & set(words)) or ("learning" in words and "rate" in words)


def _first(seen: Collection[str], names: tuple[str, ...], *, last: bool = False) -> str | None:
    """The first of the names that is seen, whole or as the last words of a column."""
    by_name: dict[str, str] = {}
    for column in seen:
        words = _words(column)
        joined = [column_part for start in range(len(words)) if (column_part := "".join(words[start:]))]
        for each in joined if last else joined[:1]:
            by_name.setdefault(each, column)
    return next((by_name[name] for name in names if name in by_name), None)
