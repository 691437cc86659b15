"""Packed sequences in a batch of trials: padded ones, whose ends each trial knows for itself.

Trials have sequences of different lengths, and a batched program has one shape. So what ``pack_padded_sequence`` makes
holds T * B rows, padding too, which means nothing and is left out by what ``pad_packed_sequence`` makes, by recurrent
layers and by losses of packed rows. Other operations on the rows, as a mean, are refused.
"""

import inspect
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional

from gradstudy.models.user_module.operations.answers import ANSWERS
from gradstudy.models.user_module.recurrent.stack import within

MARK = "_gradstudy_lengths"
"""The attribute of packed rows and of batch sizes: the lengths of the sequences."""

SIZES = "_gradstudy_sizes"
"""The attribute of batch sizes: those of padded sequences, which a model must not read as those of its own."""

BY_ROW: frozenset[Callable[..., Any]] = frozenset(
    (
        *(functional.embedding, functional.linear, functional.relu, torch.relu, torch.tanh, torch.sigmoid, torch.neg),
        *(Tensor.relu, Tensor.tanh, Tensor.sigmoid, Tensor.float, Tensor.long, Tensor.detach),
    )
)
"""Operations that do to each row the same, and keep rows in their place."""

ABOUT: frozenset[Callable[..., Any]] = frozenset(
    (Tensor.dim, *(vars(torch._C.TensorBase)[name].__get__ for name in ("dtype", "device", "is_cuda", "ndim")))
)
"""What may be asked of packed rows."""


PLAIN_LOSS = {
    name: parameter.default
    for name, parameter in inspect.signature(functional.cross_entropy).parameters.items()
    if parameter.default is not parameter.empty
}
"""How torch calls ``cross_entropy`` where nothing but logits and targets was given."""


LONGEST_DIFFER = "the longest sequences of its batches differ in length"


class PackedRowsError(RuntimeError):
    """An operation would take padding for data."""


def is_packed(values: Iterable[Any]) -> bool:
    """Whether any of the arguments of an operation has packed rows."""
    return any(isinstance(value, Tensor) and MARK in value.__dict__ for value in values)


def lengths_of(packed: Tensor) -> Tensor:
    """Of the sequences that a tensor holds, [B]."""
    lengths: Tensor = packed.__dict__[MARK]
    return lengths


def marked(rows: Tensor, lengths: Tensor) -> Tensor:
    """The same tensor, whose rows are known to be packed."""
    vars(rows)[MARK] = lengths
    return rows


def pack(inputs: Tensor, lengths: Tensor, batch_first: bool, *, whole: bool = False) -> tuple[Tensor, Tensor]:
    """``_VF._pack_padded_sequence``: rows [T * B, ...] and the batch size of each of T steps.

    T is the length of the longest sequence, or of the ``whole`` padded batch, where the longest ones of trials differ.
    """
    found = _Found(whole)
    lengths = _Longest.apply(lengths, found)  # type: ignore[no-untyped-call]
    steps = found.longest
    inputs = inputs.transpose(0, 1) if batch_first else inputs
    steps = max(steps, len(inputs)) if whole else steps
    if steps > len(inputs):
        raise PackedRowsError(f"a sequence of length {steps} is longer than its padded batch, {len(inputs)}")
    inside = _like(within(lengths, steps), inputs)
    rows = torch.where(inside, inputs[:steps], inputs.new_zeros(())).flatten(0, 1)
    sizes = marked(torch.full((steps,), inputs.shape[1]), lengths)
    vars(sizes)[SIZES] = True
    return marked(rows, lengths), sizes


def unpack(rows: Tensor, sizes: Tensor, batch_first: bool, padding: float, total: int) -> tuple[Tensor, Tensor]:
    """``_VF._pad_packed_sequence``: padded sequences and their lengths."""
    lengths = lengths_of(sizes)
    steps = len(sizes)
    padded = rows.unflatten(0, (steps, -1))
    padded = torch.where(_like(within(lengths, steps), padded), padded, padded.new_full((), padding))
    if total > steps:
        more = padded.new_full((total - steps, *padded.shape[1:]), padding)
        padded = torch.cat([padded, more])
    return padded.transpose(0, 1) if batch_first else padded, lengths


def by_row(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Answer an operation on packed rows.

    Raises:
        PackedRowsError: it is not one that does to each row the same.
    """
    if func in ABOUT or (func is Tensor.size and args[1:] == (-1,)):
        return func(*args, **kwargs)
    if SIZES in args[0].__dict__ and func in (Tensor.__getitem__, Tensor.size) and args[1:] == (0,):
        return func(*args, **kwargs)
    if func is functional.cross_entropy and all(map(is_packed, (args[:1], args[1:]))) and kwargs == PLAIN_LOSS:
        return _cross_entropy(*args)
    if func not in BY_ROW or SIZES in args[0].__dict__ or is_packed((*args[1:], *kwargs.values())):
        raise PackedRowsError(f"it takes the rows of a packed sequence to {getattr(func, '__name__', func)}")
    return marked(ANSWERS.get(func, func)(*args, **kwargs), lengths_of(args[0]))


def _cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """The mean over packed rows of logits [T * B, V] and targets [T * B]."""
    lengths = _Same.apply(lengths_of(logits).cpu(), lengths_of(targets).cpu())  # type: ignore[no-untyped-call]
    lengths = lengths.to(logits.device)
    each = functional.cross_entropy(logits, targets, reduction="none")
    steps = len(each) // lengths.shape[-1]
    counted = within(lengths, steps).flatten() & (targets != PLAIN_LOSS["ignore_index"])
    mean: Tensor = torch.where(counted, each, 0).sum() / counted.sum()
    return mean


def _like(inside: Tensor, inputs: Tensor) -> Tensor:
    """A mask [T, B] for inputs [T, B, ...]."""
    return inside.to(inputs.device).view(*inside.shape, *(1,) * (inputs.ndim - 2))


class _Check(Function):
    """Looks at values that ``vmap`` hides; the first input goes through."""

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, ...]:
        return None, None


class _Found:
    """What ``_Longest`` found, where trials may ``differ``."""

    longest = 0

    def __init__(self, differ: bool) -> None:
        self.differ = differ


class _Longest(_Check):
    """Finds the longest of lengths [B]; raises PackedRowsError where those of trials differ."""

    @staticmethod
    def forward(lengths: Tensor, found: _Found) -> Tensor:
        return _Longest._found(lengths.unsqueeze(0), found).squeeze(0)

    @staticmethod
    def vmap(info: Any, in_dims: Any, *args: Any) -> tuple[Tensor, int]:
        lengths, found = args
        return _Longest._found(lengths.movedim(in_dims[0], 0), found), 0

    @staticmethod
    def _found(lengths: Tensor, found: _Found) -> Tensor:
        if not bool((lengths[:, 1:] <= lengths[:, :-1]).all()) or int(lengths.min()) < 1:
            raise PackedRowsError("lengths of packed sequences must fall, from 1 up, without enforce_sorted=False")
        longest = lengths.amax(1).unique()
        if len(longest) > 1 and not found.differ:
            raise PackedRowsError(LONGEST_DIFFER)
        found.longest = int(longest.max())
        return lengths.clone()


class _Same(_Check):
    """Raises PackedRowsError where two lengths [B] differ."""

    @staticmethod
    def forward(lengths: Tensor, others: Tensor) -> Tensor:
        if not torch.equal(lengths, others):
            raise PackedRowsError("logits and targets are packed by different lengths")
        return lengths.clone()

    @staticmethod
    def vmap(info: Any, in_dims: Any, *args: Any) -> tuple[Tensor, int]:
        pairs = zip(args, in_dims, strict=True)
        first, second = (one if dim is None else one.movedim(dim, 0) for one, dim in pairs)
        return _Same.forward(*torch.broadcast_tensors(first, second)), 0
