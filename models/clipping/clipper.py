"""Clip K gradients at once, each slot by its own strategy and threshold."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.linalg import vector_norm

from gradstudy.models.clipping.memories.norm_memory import NORM_MEMORIES, NormMemory
from gradstudy.models.clipping.memories.parameter_memory import PARAMETER_MEMORIES, ParameterMemory
from gradstudy.models.clipping.memories.slot_memory import Slots
from gradstudy.models.clipping.parameter_rules import PARAMETER_RULES, clip_value
from gradstudy.models.clipping.scale_rules import SCALE_RULES
from gradstudy.models.parameters import ParameterLayout
from gradstudy.models.strategies import STRATEGIES, find_after_backward


class ClipResult(NamedTuple):
    """What clipping did to the gradients of n trials.

    Attributes:
        grad_norm: ``[n]``, norm of each gradient before.
        applied_norm: ``[n]``, norm after; it may be NaN where ``grad_norm`` is not finite.
        clipped: ``[n]`` bool, whether the rule changed the gradient.
        skipped: ``[n]`` bool, whether the rule skips the step: the gradient is zero and must not be stepped by.
    """

    grad_norm: Tensor
    applied_norm: Tensor
    clipped: Tensor
    skipped: Tensor


class _Group(NamedTuple):
    """The active slots that hold one strategy."""

    strategy: str
    slots: Slots


class GradientClipper:
    """Holds a strategy, a threshold and the strategy's state per slot; slots start with ``none``.

    The host knows which slots hold which strategy, so a call waits for nothing on the device, but for the
    decomposition of ``spectral``, which tells the host whether it converged. Strategies that scale the gradient as a
    whole share one pass for the norm and one for the product; the others gather their rows.
    """

    def __init__(
        self, layout: ParameterLayout, slots: int, steps: int, dtype: torch.dtype, device: torch.device | str
    ) -> None:
        """Make room for ``slots`` trials of about ``steps`` steps each, with gradients of ``dtype``."""
        self._layout = layout
        self._device = torch.device(device)
        self._steps = steps
        self._dtype = torch.promote_types(dtype, torch.float32)
        self._strategy = ["none"] * slots
        self._threshold = torch.ones(slots, dtype=self._dtype, device=self._device)
        self._norm_memories: dict[str, NormMemory] = {}
        self._parameter_memories: dict[str, ParameterMemory] = {}
        self._groups: dict[int, list[_Group]] = {}

    def assign(self, slot: int, strategy: str, threshold: float | None) -> None:
        """Begin a trial in ``slot``, without memory of the one before.

        Raises:
            StrategyError: if there is no such strategy, it does not take this threshold, or it clips inside the
                backward pass.
        """
        find_after_backward(strategy).check(threshold)
        self._strategy[slot] = strategy
        self._threshold[slot] = 1.0 if threshold is None else threshold
        slots = len(self._strategy)
        if strategy in NORM_MEMORIES and strategy not in self._norm_memories:
            made = NORM_MEMORIES[strategy](slots, self._steps, self._dtype, self._device)
            self._norm_memories[strategy] = made
        if strategy in PARAMETER_MEMORIES and strategy not in self._parameter_memories:
            count = len(self._layout.parameters)
            self._parameter_memories[strategy] = PARAMETER_MEMORIES[strategy](slots, count, self._dtype, self._device)
        for memory in self._memories():
            memory.reset(slot)
        self._groups.clear()

    def move(self, source: int, target: int) -> None:
        """Copy the trial of slot ``source``, with its state, to slot ``target``."""
        self._strategy[target] = self._strategy[source]
        self._threshold[target] = self._threshold[source]
        for memory in self._memories():
            memory.move(source, target)
        self._groups.clear()

    @torch.no_grad()
    def __call__(
        self, gradients: Tensor, parameters: Tensor, loss: Tensor | None = None, skipped: Tensor | None = None
    ) -> ClipResult:
        """Clip the gradients of the first n slots in place.

        A gradient whose norm is not finite is treated as ``clip_grad_norm_`` treats it: where the norm is
        infinite, finite entries become 0 and infinite ones NaN. It leaves no trace in the strategy's state. Strategies
        that skip steps skip this one. Norms are at least float32, also of gradients in half precision.

        Args:
            gradients: ``[n, P]``, zero in the gaps of the layout.
            parameters: ``[n, P]``, before the step.
            loss: ``[n]``, before the step; ``skip_z`` looks at it.
            skipped: ``[n]`` bool, trials whose step is not taken, whatever their gradient: it leaves no trace either.
        """
        norm = vector_norm(gradients, dim=1, dtype=self._dtype)
        seen = norm if skipped is None else norm.masked_fill(skipped, torch.nan)
        coefficient = torch.ones_like(norm)
        skips = torch.zeros_like(norm, dtype=torch.bool)
        changed: list[tuple[Tensor, Tensor, Tensor]] = []
        scaled = skipping = False
        for group in self._active(len(gradients)):
            rows = group.slots.rows
            threshold = self._threshold.index_select(0, rows)
            if group.strategy not in SCALE_RULES and group.strategy not in NORM_MEMORIES:
                changed.append((rows, *self._clip_rows(group, gradients, parameters, seen, threshold)))
                continue
            scale = self._scale(group, seen, loss, threshold)
            coefficient.index_copy_(0, rows, scale)
            scaled = True
            if STRATEGIES[group.strategy].skips:
                skips.index_copy_(0, rows, scale == 0)
                skipping = True
        if scaled:
            gradients.mul_(coefficient.unsqueeze(1))
        if skipping:  # what is not finite is not zero times zero
            gradients.masked_fill_(skips.unsqueeze(1), 0)
        applied = (norm * coefficient).masked_fill_(skips, 0)
        clipped = (coefficient != 1) & (norm != 0)
        for rows, new_norm, differs in changed:
            applied.index_copy_(0, rows, new_norm)
            clipped.index_copy_(0, rows, differs)
        return ClipResult(norm, applied, clipped, skips)

    @torch.no_grad()
    def look_on(self, gradients: Tensor, parameters: Tensor, loss: Tensor, skipped: Tensor | None) -> None:
        """Let the strategies that remember see a step that others take; arguments as of a call, nothing is changed."""
        norm = vector_norm(gradients, dim=1, dtype=self._dtype)
        seen = norm if skipped is None else norm.masked_fill(skipped, torch.nan)
        for group in self._active(len(gradients)):
            threshold = self._threshold.index_select(0, group.slots.rows)
            if group.strategy in NORM_MEMORIES:
                self._scale(group, seen, loss, threshold)
            elif group.strategy in PARAMETER_MEMORIES:
                self._clip_rows(group, gradients.clone(), parameters, seen, threshold)

    def state(self, slot: int) -> dict[str, Tensor]:
        """What the strategy of ``slot`` has seen, by name."""
        memory = self._memory_of(slot)
        return {} if memory is None else memory.state(slot)

    def restore(self, slot: int, state: Mapping[str, Tensor]) -> None:
        """Take up what ``state`` gave of a slot with the same strategy."""
        if memory := self._memory_of(slot):
            memory.restore(slot, state)

    def _memory_of(self, slot: int) -> NormMemory | ParameterMemory | None:
        strategy = self._strategy[slot]
        return self._norm_memories.get(strategy) or self._parameter_memories.get(strategy)

    def _memories(self) -> list[NormMemory | ParameterMemory]:
        return [*self._norm_memories.values(), *self._parameter_memories.values()]

    def _active(self, count: int) -> list[_Group]:
        """The groups among the first ``count`` slots, without those that need no work."""
        if count not in self._groups:
            held = np.array(self._strategy[:count])
            names = [name for name in dict.fromkeys(self._strategy[:count]) if name != "none"]
            self._groups[count] = [
                _Group(name, Slots.of(np.flatnonzero(held == name).astype(np.int64), self._device)) for name in names
            ]
        return self._groups[count]

    def _scale(self, group: _Group, norm: Tensor, loss: Tensor | None, threshold: Tensor) -> Tensor:
        """Coefficients ``[m]`` of a group whose rule multiplies the gradient as a whole."""
        rows = group.slots.rows
        norm = norm.index_select(0, rows)
        if group.strategy in SCALE_RULES:
            return SCALE_RULES[group.strategy](norm, threshold)
        losses = None if loss is None else loss.index_select(0, rows)
        return self._norm_memories[group.strategy](group.slots, norm, threshold, losses)

    def _clip_rows(
        self, group: _Group, gradients: Tensor, parameters: Tensor, norm: Tensor, threshold: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Apply a rule that needs the entries; returns the norms after it and which rows changed, ``[m]``."""
        slots = group.slots
        everywhere = len(slots.host) == len(gradients)
        given = gradients if everywhere else gradients.index_select(0, slots.rows)
        rows = given.to(self._dtype)
        if group.strategy == "value":
            changed = clip_value(rows, threshold)
        elif group.strategy in PARAMETER_MEMORIES:
            views = [parameter.view(rows) for parameter in self._layout.parameters]
            memory = self._parameter_memories[group.strategy]
            changed = memory(slots, range(len(views)), views, norm.index_select(0, slots.rows), threshold)
        else:
            needs_weights = group.strategy == "agc" and not everywhere
            weights = parameters.index_select(0, slots.rows) if needs_weights else parameters
            changed = self._clip_parameters(group.strategy, rows, weights.to(self._dtype), threshold)
        if rows is not gradients:
            gradients.index_copy_(0, slots.rows, rows.to(gradients.dtype))
        return vector_norm(rows, dim=1), changed

    def _clip_parameters(self, strategy: str, rows: Tensor, weights: Tensor, threshold: Tensor) -> Tensor:
        """Apply a rule to every parameter of ``rows`` ``[m, P]``; returns which rows changed ``[m]``."""
        parameters = self._layout.parameters
        return PARAMETER_RULES[strategy](
            [parameter.view(rows) for parameter in parameters],
            [parameter.view(weights) for parameter in parameters],
            [parameter.unit_axis for parameter in parameters],
            threshold,
        )
