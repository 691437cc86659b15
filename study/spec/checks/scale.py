"""What a study is scaled to: a value of a factor, beyond all that it trains, for which its report predicts."""

from collections.abc import Iterable, Mapping
from typing import Any

from gradstudy.models.tasks.module_task import is_module_task

WIDTH = "hidden_size"
USUAL_WIDTH = 64
SHARES = (4, 2, 1)
"""Of the hidden size given: what is trained where no other hidden sizes are given."""
MOST_TIMES = 16
"""The largest value that is trained, so many times, is the end of what is predicted."""


def with_widths(values: Mapping[str, Any]) -> dict[str, Any]:
    """A spec's values, in which the hidden size is varied where the study is scaled to one and does not vary it yet.

    Of a model of the user's own it is an option like others, and must be varied.
    """
    space, model = values.get("space"), values.get("model", {})
    if is_module_task(str(values.get("task"))):
        return dict(values)
    if not isinstance(space, dict) or not isinstance(model, dict) or not isinstance(space.get("factors", {}), dict):
        return dict(values)
    scale_to, factors = space.get("scale_to"), space.get("factors", {})
    hidden = model.get(WIDTH, USUAL_WIDTH)
    if not isinstance(scale_to, dict) or WIDTH not in scale_to or WIDTH in factors or not isinstance(hidden, int):
        return dict(values)
    widths = dict.fromkeys(max(1, hidden // share) for share in SHARES)
    return {**values, "space": space | {"factors": factors | {WIDTH: list(widths)}}}


def check_scale(scale_to: Mapping[str, float], factors: Mapping[str, Iterable[Any]]) -> None:
    """Raise ValueError where the value that a study is scaled to cannot be predicted for."""
    if len(scale_to) > 1:
        raise ValueError(f"scale_to takes one name, but got {', '.join(scale_to)}")
    for name, target in scale_to.items():
        values = list(factors.get(name, ()))
        numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
        if len(values) < 2 or len(numbers) < len(values) or min(numbers) <= 0:
            given = ", ".join(map(str, values)) or "none"
            raise ValueError(
                f"scale_to.{name} is predicted from several smaller values, such as --vary {name}=32,64,128, but the "
                f"study varies {given}"
            )
        if not max(numbers) < target <= MOST_TIMES * max(numbers):
            raise ValueError(
                f"scale_to.{name} must be more than the largest value that is trained ({max(numbers):g}) and at most "
                f"{MOST_TIMES} times it, beyond which nothing is known, but got {target:g}"
            )
