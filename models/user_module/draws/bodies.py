"""Torch's functions that are written in Python and draw random numbers somewhere inside."""

from collections.abc import Callable
from types import FunctionType
from typing import Any

from torch.nn import functional


def _never(*tensors: Any) -> bool:
    return False


def _body(function: Any) -> Callable[..., Any]:
    """The same function, which does not ask the modes that are on whether they answer it, but its parts."""
    names = {name: _never for name in function.__globals__ if name.startswith("has_torch_function")}
    body = FunctionType(function.__code__, {**function.__globals__, **names}, function.__name__, function.__defaults__)
    body.__kwdefaults__ = function.__kwdefaults__
    return body


BODIES: dict[Callable[..., Any], Callable[..., Any]] = {
    function: _body(function)
    for function in (
        *(functional.dropout1d, functional.dropout2d, functional.dropout3d),
        *(functional.alpha_dropout, functional.feature_alpha_dropout, functional.rrelu),
        *(functional.gumbel_softmax, functional.multi_head_attention_forward),
    )
}
"""Functions whose parts are answered one by one."""
