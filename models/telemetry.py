"""What trials did in a block of steps."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Telemetry:
    """What trials did in a block of steps; rows are steps, columns slots. Of one trial, the arrays are [steps].

    Attributes:
        loss: training loss before each step, [steps, n].
        grad_norm: global norm of the gradient before clipping, [steps, n]; 0 where a float16 gradient overflowed only
            by the scale of its loss. With a strategy that clips inside the backward pass it is what came out of that.
        applied_norm: the same after clipping; 0 where the guard skipped the step, [steps, n].
        clipped: whether the strategy changed the gradient, inside the backward pass at some time step, [steps, n].
    """

    loss: NDArray[np.float64]
    grad_norm: NDArray[np.float64]
    applied_norm: NDArray[np.float64]
    clipped: NDArray[np.bool_]

    def of_slot(self, slot: int, steps: int) -> "Telemetry":
        """The first steps of one slot."""
        return Telemetry(
            loss=self.loss[:steps, slot],
            grad_norm=self.grad_norm[:steps, slot],
            applied_norm=self.applied_norm[:steps, slot],
            clipped=self.clipped[:steps, slot],
        )

    @staticmethod
    def none() -> "Telemetry":
        """Of a trial that made no step."""
        nothing = np.zeros(0)
        return Telemetry(loss=nothing, grad_norm=nothing, applied_norm=nothing, clipped=nothing.astype(bool))

    @staticmethod
    def recorded(steps: Sequence[Tensor]) -> "Telemetry":
        """From loss, norm, applied norm and clipped of each step as rows, [4, n]; waits for the device."""
        loss, grad_norm, applied_norm, clipped = torch.stack(list(steps)).cpu().double().unbind(1)
        return Telemetry(
            loss=loss.numpy(),
            grad_norm=grad_norm.numpy(),
            applied_norm=applied_norm.numpy(),
            clipped=clipped.bool().numpy(),
        )

    @staticmethod
    def concatenated(blocks: Sequence["Telemetry"]) -> "Telemetry":
        """Blocks one after the other."""
        return Telemetry(
            loss=np.concatenate([block.loss for block in blocks]),
            grad_norm=np.concatenate([block.grad_norm for block in blocks]),
            applied_norm=np.concatenate([block.applied_norm for block in blocks]),
            clipped=np.concatenate([block.clipped for block in blocks]),
        )
