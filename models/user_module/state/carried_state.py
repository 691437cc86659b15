"""What a module keeps in attributes from one call to the next, as a language model its hidden state."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from gradstudy.models.user_module.state.history import ended, has_history, is_ended, without_history
from gradstudy.models.user_module.state.marks import NOTHING, Mark, is_large, is_tensor

Attribute = tuple[str, str]
"""The name of a part of a module, and of its attribute."""

TORCHS_OWN = frozenset((*vars(nn.Module()), "_flat_weights", "_flat_weight_refs"))
"""Attributes that torch keeps: parameters, buffers, hooks, mode, and what recurrent layers know of their weights."""


class CarriedState:
    """Knows how a module was made, so that what it carries can begin anew."""

    def __init__(self, module: nn.Module, begun: Callable[[], None] = lambda: None) -> None:
        """Take note of how a module was made.

        Args:
            module: the user's.
            begun: is called after each time that the state began anew.
        """
        self._begun = begun
        self._holders = {path: vars(part) for path, part in module.named_modules()}
        self._made = {attribute: copied(value) for attribute, value in self._now()}
        self._as_made = self._marks()
        self._lendable: dict[Attribute, Any] | None = None
        self._lent_marks: dict[Attribute, Mark] = {}
        self._has_ended = False

    @contextmanager
    def anew(self) -> Iterator[None]:
        """Begin as the module was made; at the end what was carried before is carried on."""
        carried, marks = dict(self._now()), self._as_made
        self._put_all({attribute: copied(value) for attribute, value in self._made.items()})
        self._as_made = self._marks()
        try:
            self._begun()
            yield
        finally:
            self._put_all(carried)
            self._as_made = marks

    @contextmanager
    def lent(self) -> Iterator[None]:
        """Let other runs compute with the module, as it was made; at the end what was carried before is carried on."""
        carried, marks = dict(self._now()), self._as_made
        if self._lendable is None:
            self._lendable = {attribute: copied(value) for attribute, value in self._made.items()}
            self._put_all(self._lendable)
            self._lent_marks = self._marks()
        else:
            self._put_all(self._lendable)
        self._as_made = self._lent_marks
        try:
            yield
        finally:
            self._put_all(carried)
            self._as_made = marks

    @contextmanager
    def replaced(self, by: Callable[[Any], Any]) -> Iterator[None]:
        """Go on, and begin anew, from what ``by`` makes of each value; at the end what was carried is carried on."""
        carried, marks, changed = dict(self._now()), self._as_made, self.changed()
        kept = self._made, self._lendable, self._lent_marks, self._has_ended
        self._made, self._lendable = {attribute: by(value) for attribute, value in self._made.items()}, None
        self._put_all({attribute: by(value) for attribute, value in carried.items()})
        same = {attribute: mark for attribute, mark in self._marks().items() if attribute not in changed}
        self._as_made = same | {attribute: marks[attribute] for attribute in changed & marks.keys()}
        try:
            yield
        finally:
            self._put_all(carried)
            self._as_made = marks
            self._made, self._lendable, self._lent_marks, self._has_ended = kept

    def changed(self) -> set[Attribute]:
        """The attributes that are not as the module was made, or as it was lent."""
        now = self._marks()
        return {one for one in now.keys() | self._as_made.keys() if now.get(one) != self._as_made.get(one)}

    def spoiled(self) -> None:
        """Say that a lent module was written to where it was not expected; it will be lent as it was made again."""
        self._lendable = None

    def read(self, attributes: Sequence[Attribute]) -> list[Any]:
        """The values of attributes."""
        return [self._holders[path].get(name, NOTHING) for path, name in attributes]

    def write(self, attributes: Sequence[Attribute], values: Iterable[Any]) -> None:
        """Give attributes values, some of which may come from a batch, see ``ended``."""
        for (path, name), value in zip(attributes, values, strict=True):
            self._put(path, name, value)
            self._has_ended = self._has_ended or any(map(is_ended, tree_leaves(value)))

    def end_histories(self, parameters: Sequence[nn.Parameter]) -> None:
        """Have a backward pass fail that would go on into a batch, where the history of what is carried ended."""
        if not self._has_ended:
            return
        self._has_ended = False
        for (path, name), value in dict(self._now()).items():
            if any(map(is_ended, tree_leaves(value))):
                self._put(path, name, tree_map(lambda leaf: ended(leaf, parameters) if is_ended(leaf) else leaf, value))

    def _now(self) -> Iterator[tuple[Attribute, Any]]:
        """Every attribute that is not torch's own."""
        for path, holder in self._holders.items():
            for name, value in holder.items():
                if name not in TORCHS_OWN:
                    yield (path, name), value

    def _marks(self) -> dict[Attribute, Mark]:
        return {attribute: Mark(value) for attribute, value in self._now()}

    def _put(self, path: str, name: str, value: Any) -> None:
        if value is not NOTHING:
            self._holders[path][name] = value
        else:
            self._holders[path].pop(name, None)

    def _put_all(self, values: dict[Attribute, Any]) -> None:
        """Have these attributes and no others."""
        for path, name in [attribute for attribute, _ in self._now() if attribute not in values]:
            del self._holders[path][name]
        for (path, name), value in values.items():
            self._holders[path][name] = value


def copied(value: Any) -> Any:
    """A value of its own: other containers, and tensors of equal values."""
    if is_large(value) and not any(map(is_tensor, tree_leaves(value))):
        return value
    return tree_map(lambda leaf: leaf.detach().clone() if is_tensor(leaf) else leaf, value)


def another(value: Any, of_tensor: Callable[[Tensor], Tensor]) -> Any:
    """The same with other tensors, which say like those of ``value`` whether they were detached."""
    if is_large(value) and not any(map(is_tensor, tree_leaves(value))):
        return value
    return tree_map(
        lambda leaf: without_history(of_tensor(leaf.detach()), had_one=has_history(leaf)) if is_tensor(leaf) else leaf,
        value,
    )
