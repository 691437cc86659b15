"""Clip K gradients at once, each slot by its own strategy and threshold."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.linalg import vector_norm

from gradstudy.models.clipping.autoclip import AutoClip
from gradstudy.models.clipping.parameter_rules import PARAMETER_RULES, clip_value
from gradstudy.models.clipping.scale_rules import SCALE_RULES
from gradstudy.models.clipping.zclip import ZClip
from gradstudy.models.parameters import ParameterLayout
from gradstudy.models.strategies import find_after_backward


class ClipResult(NamedTuple):
    """What clipping did to the gradients of n trials.

    Attributes:
        grad_norm: ``[n]``, norm of each gradient before.
        applied_norm: ``[n]``, norm after; it may be NaN where ``grad_norm`` is not finite.
        clipped: ``[n]`` bool, whether the rule changed the gradient.
    """

    grad_norm: Tensor
    applied_norm: Tensor
    clipped: Tensor


class _Group(NamedTuple):
    """The active slots that hold one strategy: on the host and as an index on the device."""

    strategy: str
    slots: npt.NDArray[np.int64]
    rows: Tensor


class GradientClipper:
    """Holds a strategy, a threshold and the strategy's state per slot; slots start with ``none``.

    The host knows which slots hold which strategy, so a call waits for nothing on the device. Strategies that
    scale the gradient as a whole share one pass for the norm and one for the product; the others gather
    their rows.
    """

    def __init__(
        self, layout: ParameterLayout, slots: int, steps: int, dtype: torch.dtype, device: torch.device | str
    ) -> None:
        """Make room for ``slots`` trials of about ``steps`` steps each, with gradients of ``dtype``."""
        self._layout = layout
        self._device = torch.device(device)
        self._strategy = ["none"] * slots
        self._threshold = torch.ones(slots, dtype=dtype, device=self._device)
        self._autoclip = AutoClip(slots, steps, dtype, self._device)
        self._zclip = ZClip(slots, dtype, self._device)
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
        self._autoclip.reset(slot)
        self._zclip.reset(slot)
        self._groups.clear()

    def move(self, source: int, target: int) -> None:
        """Copy the trial of slot ``source``, with its state, to slot ``target``."""
        self._strategy[target] = self._strategy[source]
        self._threshold[target] = self._threshold[source]
        self._autoclip.move(source, target)
        self._zclip.move(source, target)
        self._groups.clear()

    @torch.no_grad()
    def __call__(self, gradients: Tensor, parameters: Tensor, skipped: Tensor | None = None) -> ClipResult:
        """Clip the gradients of the first n slots in place.

        A gradient whose norm is not finite is treated as ``clip_grad_norm_`` treats it: where the norm is
        infinite, finite entries become 0 and infinite ones NaN. It leaves no trace in the strategy's state.

        Args:
            gradients: ``[n, P]``, zero in the gaps of the layout.
            parameters: ``[n, P]``, before the step.
            skipped: ``[n]`` bool, trials whose step is not taken, whatever their gradient: it leaves no trace either.
        """
        norm = vector_norm(gradients, dim=1)
        seen = norm if skipped is None else norm.masked_fill(skipped, torch.nan)
        coefficient = torch.ones_like(norm)
        changed: list[tuple[Tensor, Tensor, Tensor]] = []
        scaled = False
        for group in self._active(len(gradients)):
            threshold = self._threshold.index_select(0, group.rows)
            if group.strategy in PARAMETER_RULES or group.strategy == "value":
                changed.append((group.rows, *self._clip_rows(group, gradients, parameters, threshold)))
            else:
                scale = self._scale(group, seen.index_select(0, group.rows), threshold)
                coefficient.index_copy_(0, group.rows, scale)
                scaled = True
        if scaled:
            gradients.mul_(coefficient.unsqueeze(1))
        applied = norm * coefficient
        clipped = (coefficient != 1) & (norm != 0)
        for rows, new_norm, differs in changed:
            applied.index_copy_(0, rows, new_norm)
            clipped.index_copy_(0, rows, differs)
        return ClipResult(norm, applied, clipped)

    def _active(self, count: int) -> list[_Group]:
        """The groups among the first ``count`` slots, without those that need no work."""
        if count not in self._groups:
            held = np.array(self._strategy[:count])
            names = [name for name in dict.fromkeys(self._strategy[:count]) if name != "none"]
            self._groups[count] = [
                _Group(name, slots, torch.from_numpy(slots).to(self._device))
                for name in names
                for slots in [np.flatnonzero(held == name).astype(np.int64)]
            ]
        return self._groups[count]

    def _scale(self, group: _Group, norm: Tensor, threshold: Tensor) -> Tensor:
        """Coefficients ``[m]`` of a group whose rule multiplies the gradient as a whole."""
        if group.strategy == "autoclip":
            return self._autoclip(group.slots, group.rows, norm, threshold)
        if group.strategy == "zclip":
            return self._zclip(group.rows, norm, threshold)
        return SCALE_RULES[group.strategy](norm, threshold)

    def _clip_rows(
        self, group: _Group, gradients: Tensor, parameters: Tensor, threshold: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Apply a rule that needs the entries; returns the norms after it and which rows changed, ``[m]``."""
        everywhere = len(group.slots) == len(gradients)
        rows = gradients if everywhere else gradients.index_select(0, group.rows)
        if group.strategy == "value":
            changed = clip_value(rows, threshold)
        else:
            needs_weights = group.strategy == "agc" and not everywhere
            weights = parameters.index_select(0, group.rows) if needs_weights else parameters
            changed = self._clip_parameters(group.strategy, rows, weights, threshold)
        if not everywhere:
            gradients.index_copy_(0, group.rows, rows)
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
