"""Loss scaling for float16: a loss times a large number has gradients that float16 does not round to zero.

The rule of ``torch.amp.GradScaler`` (Micikevicius et al. 2018, arXiv 1710.03740), for each trial by itself: a step
whose gradient overflows is skipped and halves the scale, and many steps without one double it.

Shapes: K slots, n active trials, P parameters of one.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

FIRST_SCALE = 2.0**16
GROWTH_INTERVAL = 2000
"""Steps in a row without an overflow after which a scale doubles."""


class LossScaling:
    """The scale of each slot's loss."""

    def __init__(
        self,
        slots: int,
        device: torch.device,
        *,
        first_scale: float = FIRST_SCALE,
        growth_interval: int = GROWTH_INTERVAL,
    ) -> None:
        self._first = first_scale
        self._interval = growth_interval
        self.scale = torch.full((slots,), first_scale, device=device)
        self._good_steps = torch.zeros(slots, dtype=torch.int64, device=device)

    def reset(self, slot: int) -> None:
        """Begin with a trial's first step."""
        self.scale[slot] = self._first
        self._good_steps[slot] = 0

    def move(self, source: int, target: int) -> None:
        """Put a trial into another slot."""
        self.scale[target] = self.scale[source]
        self._good_steps[target] = self._good_steps[source]

    def take_up(self, source: "LossScaling", count: int) -> None:
        """Let the first ``count`` slots go on from where the first slot of ``source`` is."""
        self.scale[:count] = source.scale[0]
        self._good_steps[:count] = source._good_steps[0]

    def state(self, slot: int) -> dict[str, Tensor]:
        """Of one slot, by name."""
        return {"scale": self.scale[slot].clone(), "good_steps": self._good_steps[slot].clone()}

    def restore(self, slot: int, state: Mapping[str, Tensor]) -> None:
        """Take up what ``state`` gave."""
        self.scale[slot], self._good_steps[slot] = state["scale"], state["good_steps"]

    def scaled(self, loss: Tensor) -> Tensor:
        """The losses to take gradients of, [n]."""
        return loss * self.scale[: len(loss)]

    def unscale(self, gradients: Tensor) -> None:
        """Divide the gradients of scaled losses [n, P] by their scale, in place."""
        gradients.mul_(self.scale[: len(gradients)].reciprocal().unsqueeze(1))

    def follow(self, recorded: Tensor) -> Tensor:
        """Adapt the scales to a step, and tell an overflow that a smaller scale mends from a lost run.

        Args:
            recorded: what ``update`` returned of the step, [4, n].

        Returns:
            The same, in which the unknown gradient norm of a step is 0 if it overflowed at a scale above 1 with a
            finite loss: such a step was only skipped.
        """
        loss, grad_norm = recorded[0], recorded[1]
        active = slice(len(loss))
        scale, good_steps = self.scale[active], self._good_steps[active]
        overflowed = ~torch.isfinite(grad_norm)
        mended_by_scale = overflowed & torch.isfinite(loss) & (scale > 1)
        good_steps.add_(1).masked_fill_(overflowed, 0)
        grown = good_steps == self._interval
        scale.mul_(torch.where(overflowed, 0.5, torch.where(grown, 2.0, 1.0)))
        good_steps.masked_fill_(grown, 0)
        return torch.cat([recorded[:1], grad_norm.masked_fill(mended_by_scale, 0).unsqueeze(0), recorded[2:]])
