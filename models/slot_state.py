"""The state of a slot as tensors by name, those of its parts with the name of the part in front."""

from collections.abc import Mapping

from torch import Tensor


def named(part: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a part of a state: ``optimizer.0``."""
    return {f"{part}.{name}": tensor for name, tensor in state.items()}


def part_of(part: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a part, by the names that they have there."""
    return {name.removeprefix(f"{part}."): tensor for name, tensor in state.items() if name.startswith(f"{part}.")}
