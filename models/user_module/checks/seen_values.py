"""Numbers and generators that a model and its loss can reach in Python: what one call changes, the next one sees.

A batched program runs the user's code once for all trials. A counter or a generator of the code's own would then count
and draw once for all of them.
"""

import random
from collections.abc import Callable, Hashable, Iterator
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gradstudy.models.user_module.state.marks import PLAIN

OF_LIBRARIES = frozenset(
    (
        *("torch", "numpy", "gradstudy", "builtins", "random", "functools", "logging", "tqdm"),
        *("transformers", "lightning", "pytorch_lightning"),
    )
)
OF_EVERY_MODULE = frozenset(vars(nn.Module()))
DEEPEST, LARGEST = 4, 256
"""How far it is looked into objects, and how many entries of a container."""


def seen_values(module: nn.Module, loss: Callable[..., Any]) -> dict[str, Hashable]:
    """Every number, word and state of a generator by a name that tells where it is."""
    found: dict[str, Hashable] = {}
    looked_at: set[int] = set()

    def look(name: str, value: Any, depth: int) -> None:
        if isinstance(value, PLAIN):
            while name in found:
                name += "'"
            found[name] = value
        elif (state := _state_of_generator(value)) is not None:
            found[name] = state
        elif depth < DEEPEST and id(value) not in looked_at and not isinstance(value, (Tensor, ModuleType)):
            looked_at.add(id(value))
            for inner, part in _parts(value):
                look(f"{name}{inner}" if inner.startswith("[") else f"{name}.{inner}".lstrip("."), part, depth + 1)

    for path, part in module.named_modules():
        looked_at.add(id(part))
        for inner, value in _attributes(part):
            look(f"{path}.{inner}".lstrip("."), value, 1)
        look(type(part).__name__, type(part), 0)
    look("", loss, 0)
    return found


def changed_value(before: dict[str, Hashable], after: dict[str, Hashable]) -> str | None:
    """The name of a value that is another or new; None where there is none."""
    changed = [name for name, value in after.items() if name not in before or not _equal(before[name], value)]
    return min(changed, default=None)


def _equal(one: Hashable, other: Hashable) -> bool:
    return one == other or (one != one and other != other)  # NaN, too


def _state_of_generator(value: Any) -> Hashable | None:
    if isinstance(value, random.Random):
        return value.getstate()
    if isinstance(value, np.random.Generator):
        return repr(value.bit_generator.state)
    if isinstance(value, np.random.RandomState):
        return repr(value.get_state(legacy=False))
    if isinstance(value, torch.Generator):
        return value.get_state().numpy().tobytes()
    return None


def _attributes(value: Any) -> Iterator[tuple[str, Any]]:
    for name, inner in getattr(value, "__dict__", {}).items():
        if not isinstance(value, nn.Module) or name not in OF_EVERY_MODULE or name == "training":
            yield name, inner


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    """What is in a value: entries, attributes, what a function can see."""
    if isinstance(value, dict):
        if len(value) <= LARGEST:
            yield from ((f"[{key!r}]", inner) for key, inner in list(value.items()))
    elif isinstance(value, (list, tuple, set, frozenset)):
        if len(value) <= LARGEST:
            yield from ((f"[{number}]", inner) for number, inner in enumerate(value))
    elif isinstance(value, type):
        for owner in value.__mro__:
            if not _is_of_library(owner):
                parts = vars(owner).items()
                yield from ((name, one) for name, one in parts if isinstance(one, (*PLAIN, FunctionType)))
    elif isinstance(value, MethodType):
        yield from (("", value.__self__), ("", value.__func__))
    elif isinstance(value, FunctionType):
        yield from _seen_by(value)
    elif not _is_of_library(type(value)) or isinstance(value, nn.Module):
        yield from _attributes(value)
        if isinstance(called := vars(type(value)).get("__call__"), FunctionType):
            yield "", called


def _seen_by(function: FunctionType) -> Iterator[tuple[str, Any]]:
    if _is_of_library(function):
        return
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    yield from ((f"default[{number}]", value) for number, value in enumerate(function.__defaults__ or ()))
    for name in _names(function.__code__):
        if name in function.__globals__:
            yield name, function.__globals__[name]


def _is_of_library(value: Any) -> bool:
    """Whether a function or class is one of those that are known to keep nothing."""
    return (value.__module__ or "").split(".")[0] in OF_LIBRARIES


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
