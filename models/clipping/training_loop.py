"""Clipping in any training loop: the gradients of ``model.parameters()``, by any strategy."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gradstudy.models.clipping.autoclip import AutoClip
from gradstudy.models.clipping.clipper import ClipResult
from gradstudy.models.clipping.parameter_gradients import Gradients
from gradstudy.models.clipping.parameter_rules import PARAMETER_RULES
from gradstudy.models.clipping.scale_rules import SCALE_RULES
from gradstudy.models.clipping.zclip import ZClip
from gradstudy.models.strategies import StrategyError, find_after_backward

MEMORIES = ("autoclip", "zclip")
"""The strategies that remember earlier norms."""

ROOM = 1024
"""Norms that AutoClip has room for at first; the room doubles when it is full."""

SLOT = np.zeros(1, dtype=np.int64)
"""The only slot of a memory."""


class Clipper:
    """Clips gradients in place by one strategy, with the strategy's memory where it has one.

    Called between ``loss.backward()`` and ``optimizer.step()`` with what ``torch.nn.utils.clip_grad_norm_`` takes.
    Nothing waits for the device. With ``torch.amp.GradScaler``, call ``scaler.unscale_(optimizer)`` first. A gradient
    whose norm is not finite leaves no trace in the memory and is treated as ``clip_grad_norm_`` treats it.

    Parameters without a gradient are passed over. Sparse gradients are coalesced and stay sparse; AGC clips the rows
    that they have.
    """

    def __init__(self, strategy: str = "norm", threshold: float | None = None) -> None:
        """Choose what to clip by.

        Args:
            strategy: a name in ``STRATEGIES``.
            threshold: in the unit of the strategy; None where it has none.

        Raises:
            StrategyError: there is no such strategy, it does not take this threshold, or it clips inside the backward
                pass.
        """
        find_after_backward(strategy).check(threshold)
        self.strategy = strategy
        self.threshold = threshold
        self._memory: _Memory | None = None
        self._remembered: dict[str, Tensor] = {}

    @torch.no_grad()
    def __call__(self, parameters: Tensor | Iterable[Tensor]) -> Tensor:
        """Clip the gradients of ``parameters`` in place; returns their global norm before, as a tensor.

        Raises:
            TypeError: these are no tensors, or the strategy cannot clip a sparse gradient of this kind.
            ValueError: an iterator of parameters is at its end already.
        """
        gradients = Gradients(parameters, self.strategy)
        norm = gradients.norm()
        self._change(gradients, norm)
        return norm

    @torch.no_grad()
    def clip(self, parameters: Tensor | Iterable[Tensor]) -> ClipResult:
        """As a call, with the norm after clipping and whether anything changed: three tensors without axes."""
        gradients = Gradients(parameters, self.strategy)
        norm = gradients.norm()
        beyond = self.strategy == "value" and gradients.norm(torch.inf) > (self.threshold or 0.0)
        effect = self._change(gradients, norm)
        scaled = effect if effect.dtype == torch.bool else (effect != 1) & (norm != 0)
        return ClipResult(norm, gradients.norm(), scaled | beyond)

    def state_dict(self) -> dict[str, Any]:
        """The strategy's name and what it remembers; nothing of the threshold, which is the constructor's."""
        remembered = self._remembered if self._memory is None else self._memory.state()
        return {"strategy": self.strategy, "memory": dict(remembered)}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take up the memory of another clipper of this strategy.

        Raises:
            StrategyError: it is of another strategy.
        """
        if state_dict["strategy"] != self.strategy:
            raise StrategyError(
                f"the state is that of a clipper of strategy {state_dict['strategy']!r}, "
                f"but this one's strategy is {self.strategy!r}"
            )
        self._memory = None
        self._remembered = dict(state_dict["memory"])

    def __repr__(self) -> str:
        threshold = "" if self.threshold is None else f", {self.threshold!r}"
        return f"Clipper({self.strategy!r}{threshold})"

    def _change(self, gradients: Gradients, norm: Tensor) -> Tensor:
        """Change the gradients; returns the coefficient of a rule that scales, else whether anything changed (bool)."""
        if not gradients:
            return torch.ones_like(norm)
        if self.strategy in PARAMETER_RULES:
            return gradients.apply(PARAMETER_RULES[self.strategy], self.threshold or 1.0)
        if self.threshold is None:  # of the others, `none` alone has no threshold
            return torch.ones_like(norm)
        if self.strategy == "value":
            gradients.clamp(self.threshold)
            return torch.ones_like(norm)
        rule = SCALE_RULES.get(self.strategy)
        coefficient = rule(norm, self.threshold) if rule else self._from_memory(norm)
        gradients.scale(coefficient)
        return coefficient

    def _from_memory(self, norm: Tensor) -> Tensor:
        """The coefficient that follows from this norm and those before it, which then include it."""
        if self._memory is None or self._memory.device != norm.device:
            remembered = self.state_dict()["memory"]
            self._memory = _Memory(self.strategy, self.threshold, norm)
            self._memory.restore(remembered)
        return self._memory.coefficient(norm)


def clip_gradients(
    parameters: Tensor | Iterable[Tensor], strategy: str = "norm", threshold: float | None = None
) -> Tensor:
    """Clip the gradients of ``parameters`` in place; returns their global norm before, as a tensor.

    ``clip_gradients(model.parameters(), "norm", 1.0)`` is ``torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)``.

    Args:
        parameters: a tensor, or any iterable of them; those without a gradient are passed over.
        strategy: a name in ``STRATEGIES``; those that remember earlier norms need a ``Clipper``.
        threshold: in the unit of the strategy; None where it has none.

    Raises:
        StrategyError: there is no such strategy, it does not take this threshold, it needs a ``Clipper``, or it clips
            inside the backward pass.
        TypeError: these are no tensors, or the strategy cannot clip a sparse gradient of this kind.
        ValueError: an iterator of parameters is at its end already.
    """
    if strategy in MEMORIES:
        raise StrategyError(
            f"strategy {strategy!r} remembers the norms of earlier steps: make clip = Clipper({strategy!r}, threshold) "
            "before the loop and call clip(model.parameters()) in it"
        )
    return Clipper(strategy, threshold)(parameters)


class _Memory:
    """One slot of a strategy that remembers norms, where the norms are, in at least single precision."""

    def __init__(self, strategy: str, threshold: float | None, norm: Tensor) -> None:
        self.device = norm.device
        self._dtype = torch.promote_types(norm.dtype, torch.float32)
        self._threshold = torch.full((1,), threshold or 0.0, dtype=self._dtype, device=self.device)
        self._row = torch.zeros(1, dtype=torch.int64, device=self.device)
        self._kept: AutoClip | ZClip = (
            AutoClip(1, ROOM, self._dtype, self.device)
            if strategy == "autoclip"
            else ZClip(1, self._dtype, self.device)
        )

    def coefficient(self, norm: Tensor) -> Tensor:
        norms = norm.to(self._dtype).unsqueeze(0)
        if isinstance(self._kept, AutoClip):
            return self._kept(SLOT, self._row, norms, self._threshold)[0]
        return self._kept(self._row, norms, self._threshold)[0]

    def state(self) -> dict[str, Tensor]:
        return self._kept.state(0)

    def restore(self, state: Mapping[str, Tensor]) -> None:
        if state:
            self._kept.restore(0, state)
