"""The state of a trial between two steps as bytes, from which it goes on as if it had never been interrupted."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from gradstudy.models.slot_state import named, part_of
from gradstudy.models.telemetry import Telemetry
from gradstudy.study.training.trial import Trial

FORMAT = 1
"""Of what is written here; states of another format are not read."""


class CheckpointError(ValueError):
    """A state that cannot be gone on from."""


def to_bytes(trial: Trial, state: Mapping[str, Tensor]) -> bytes:
    """The state of a trial, as safetensors.

    Args:
        trial: between two blocks of steps.
        state: of its slot, see ``TrialArray.state``.
    """
    about = {
        "format": FORMAT,
        "monitor": trial.monitor.state_dict(),
        "initial_validation_loss": trial.initial_validation_loss,
        "seconds": trial.seconds,
    }
    telemetry = {name: torch.from_numpy(values) for name, values in asdict(trial.telemetry()).items()}
    tensors = {"about": torch.frombuffer(bytearray(json.dumps(about).encode()), dtype=torch.uint8)}
    tensors |= named("telemetry", telemetry) | named("slot", state)
    return save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})


class Checkpoint:
    """A state of a trial that was read.

    Attributes:
        slot: what the array takes up, see ``TrialArray.restore``.
    """

    def __init__(self, state: bytes) -> None:
        """Read what ``to_bytes`` gave; raises CheckpointError for what it did not give."""
        try:
            tensors = load(state)
            self._about: dict[str, Any] = json.loads(bytes(tensors["about"].numpy()))
        except (SafetensorError, KeyError, ValueError) as error:
            raise CheckpointError(f"a state cannot be read: {error}") from None
        if self._about.get("format") != FORMAT:
            raise CheckpointError(
                f"a state has the format {self._about.get('format')}, and this version knows {FORMAT}"
            )
        self.slot = part_of("slot", tensors)
        self._telemetry = part_of("telemetry", tensors)

    def take_up(self, trial: Trial) -> None:
        """Let a trial that has made no step go on from here."""
        trial.monitor.load_state_dict(self._about["monitor"])
        trial.initial_validation_loss = self._about["initial_validation_loss"]
        trial.seconds_before = self._about["seconds"]
        made = Telemetry(**{name: values.numpy() for name, values in self._telemetry.items()})
        trial.blocks = [made, Telemetry.none()]  # none of these steps is of the last block
