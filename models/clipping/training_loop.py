"""Clipping in any training loop: the gradients of ``model.parameters()``, by any strategy."""

from collections.abc import Mapping
from typing import Any, SupportsFloat

import numpy as np
import torch
from torch import Tensor

from gradstudy.models.clipping.clipper import ClipResult
from gradstudy.models.clipping.memories.norm_memory import NORM_MEMORIES, NormMemory
from gradstudy.models.clipping.memories.parameter_memory import PARAMETER_MEMORIES, ParameterMemory
from gradstudy.models.clipping.memories.slot_memory import Slots
from gradstudy.models.clipping.parameter_gradients import Gradients, Parameters
from gradstudy.models.clipping.parameter_rules import PARAMETER_RULES
from gradstudy.models.clipping.scale_rules import SCALE_RULES
from gradstudy.models.clipping.unscale_check import UnscaleCheck
from gradstudy.models.strategies import STRATEGIES, StrategyError, find_after_backward

MEMORIES = (*NORM_MEMORIES, *PARAMETER_MEMORIES)
"""The strategies that remember earlier steps."""

ROOM = 1024
"""Norms that AutoClip has room for at first; the room doubles when it is full."""


class Clipper:
    """Clips gradients in place by one strategy, with the strategy's memory where it has one.

    Called between ``loss.backward()`` and ``optimizer.step()`` with what ``torch.nn.utils.clip_grad_norm_`` takes, a
    module or its ``named_parameters()``. A gradient whose norm is not finite leaves no trace in the memory and is
    treated as ``clip_grad_norm_`` treats it. Norms are at least float32, also of gradients in half precision.

    A step that ``skip_norm`` or ``skip_z`` skips loses its gradients (``None``), so that ``optimizer.step()`` changes
    neither the parameters nor its own state; a schedule goes on. For that they wait for the device, as ``spectral``
    does for its decomposition; the others do not, but in the first step, see below.

    With ``torch.amp.GradScaler``, call ``scaler.unscale_(optimizer)`` first. Whether that was forgotten is seen at the
    second step: the gradients of the first one were divided by the scale after they had been clipped. A warning says
    so.

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
        self._unscaled = UnscaleCheck()

    @torch.no_grad()
    def __call__(self, parameters: Parameters, loss: SupportsFloat | None = None) -> Tensor:
        """Clip the gradients of ``parameters`` in place; returns their global norm before, as a tensor.

        Args:
            parameters: a module, a tensor, or an iterable of parameters, with or without names.
            loss: of this step; ``skip_z`` looks at it beside the norm, where it is given.

        Raises:
            TypeError: these are no tensors, or the strategy cannot clip a sparse gradient of this kind.
            ValueError: an iterator of parameters is at its end already, or a strategy that remembers each parameter got
                more or fewer of them than before.
        """
        gradients = Gradients(parameters, self.strategy)
        norm = gradients.norm()
        self._change(gradients, norm, loss)
        return norm

    @torch.no_grad()
    def clip(self, parameters: Parameters, loss: SupportsFloat | None = None) -> ClipResult:
        """As a call, with all that there is to say of the step: tensors without axes."""
        gradients = Gradients(parameters, self.strategy)
        norm = gradients.norm()
        beyond = self.strategy == "value" and gradients.norm(torch.inf) > (self.threshold or 0.0)
        effect = self._change(gradients, norm, loss)
        scaled = effect if effect.dtype == torch.bool else (effect != 1) & (norm != 0)
        skipped = (effect == 0) & STRATEGIES[self.strategy].skips
        return ClipResult(norm, gradients.norm().to(norm.device), scaled | beyond, skipped)

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

    def _change(self, gradients: Gradients, norm: Tensor, loss: SupportsFloat | None) -> Tensor:
        """Change the gradients; returns the coefficient of a rule that scales, else whether anything changed (bool)."""
        self._unscaled.look()
        if not gradients:
            return torch.ones_like(norm)
        effect = self._effect(gradients, norm, loss)
        if STRATEGIES[self.strategy].skips:
            if effect == 0:
                gradients.drop()
        elif effect.dtype != torch.bool:
            gradients.scale(effect)
        self._unscaled.keep(gradients.owners)
        return effect

    def _effect(self, gradients: Gradients, norm: Tensor, loss: SupportsFloat | None) -> Tensor:
        """The coefficient that the gradients are to be scaled by; of other rules, whether they changed them (bool)."""
        if self.strategy in PARAMETER_RULES:
            return gradients.apply(PARAMETER_RULES[self.strategy], self.threshold or 1.0)
        if self.strategy in SCALE_RULES:
            return SCALE_RULES[self.strategy](norm, self.threshold or 1.0)
        if self.strategy in MEMORIES:
            return self._memory_of(gradients, norm)(gradients, norm, loss)
        if self.strategy == "value":
            gradients.clamp(self.threshold or 0.0)
        return torch.ones_like(norm)

    def _memory_of(self, gradients: Gradients, norm: Tensor) -> "_Memory":
        """What earlier steps left, where the norms are."""
        if self._memory is None or self._memory.device != norm.device:
            remembered = self.state_dict()["memory"]
            self._memory = _Memory(self.strategy, self.threshold, norm, gradients.count)
            self._memory.restore(remembered)
        return self._memory


def clip_gradients(parameters: Parameters, strategy: str = "norm", threshold: float | None = None) -> Tensor:
    """Clip the gradients of ``parameters`` in place; returns their global norm before, as a tensor.

    ``clip_gradients(model.parameters(), "norm", 1.0)`` is ``torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)``.

    Args:
        parameters: a module, a tensor, or an iterable of parameters, with or without names; those without a gradient
            are passed over.
        strategy: a name in ``STRATEGIES``; those that remember earlier steps need a ``Clipper``.
        threshold: in the unit of the strategy; None where it has none.

    Raises:
        StrategyError: there is no such strategy, it does not take this threshold, it needs a ``Clipper``, or it clips
            inside the backward pass.
        TypeError: these are no tensors, or the strategy cannot clip a sparse gradient of this kind.
        ValueError: an iterator of parameters is at its end already.
    """
    if strategy in MEMORIES:
        raise StrategyError(
            f"strategy {strategy!r} remembers earlier steps: make clip = Clipper({strategy!r}, threshold) "
            "before the loop and call clip(model.parameters()) in it"
        )
    clip = Clipper(strategy, threshold)
    clip._unscaled = _UNSCALED
    return clip(parameters)


_UNSCALED = UnscaleCheck()
"""Of all calls of ``clip_gradients``: the threshold may be another in each."""


class _Memory:
    """One slot of a strategy that remembers, where the norms are, in at least single precision."""

    def __init__(self, strategy: str, threshold: float | None, norm: Tensor, parameters: int) -> None:
        self.device = norm.device
        self._parameters = parameters
        self._threshold = torch.full((1,), threshold or 1.0, dtype=norm.dtype, device=self.device)
        self._slots = Slots.of(np.zeros(1, dtype=np.int64), self.device)
        self._of_norms: NormMemory | None = None
        self._of_parameters: ParameterMemory | None = None
        if strategy in NORM_MEMORIES:
            self._of_norms = NORM_MEMORIES[strategy](1, ROOM, norm.dtype, self.device)
        else:
            self._of_parameters = PARAMETER_MEMORIES[strategy](1, parameters, norm.dtype, self.device)

    def __call__(self, gradients: Gradients, norm: Tensor, loss: SupportsFloat | None) -> Tensor:
        """See ``Clipper._effect``."""
        norms = norm.unsqueeze(0)
        if self._of_norms is not None:
            losses = None if loss is None else torch.as_tensor(loss, dtype=norm.dtype, device=self.device).view(1)
            return self._of_norms(self._slots, norms, self._threshold, losses)[0]
        assert self._of_parameters is not None
        if gradients.count != self._parameters:
            raise ValueError(
                f"the clipper remembers each of {self._parameters} parameters, but got {gradients.count}: give it the "
                "same ones at every step"
            )
        return self._of_parameters(self._slots, gradients.places, gradients.rows, norms, self._threshold)[0]

    def state(self) -> dict[str, Tensor]:
        return self._kept.state(0)

    def restore(self, state: Mapping[str, Tensor]) -> None:
        if state:
            self._kept.restore(0, state)

    @property
    def _kept(self) -> NormMemory | ParameterMemory:
        kept = self._of_norms or self._of_parameters
        assert kept is not None
        return kept
