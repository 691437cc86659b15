"""The state of a run of the user's own model as bytes, beside that of its row."""

import io
import pickle
from hashlib import sha256
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gradstudy.models.user_module.run import ModuleRun
from gradstudy.models.user_module.state.marks import NOTHING


class UnkeptError(RuntimeError):
    """A state that cannot be kept, or not be gone on from."""


def to_tensor(value: Any) -> Tensor:
    """Tensors, numbers and words, in lists and dictionaries, as bytes; raises UnkeptError for what is none of these."""
    file = io.BytesIO()
    try:
        torch.save(value, file)
        made = torch.from_numpy(np.frombuffer(file.getvalue(), np.uint8).copy())
        from_tensor(made)
    except (pickle.PickleError, AttributeError, TypeError, RuntimeError) as error:
        raise UnkeptError(str(error)) from None
    return made


def from_tensor(kept: Tensor) -> Any:
    """What ``to_tensor`` was given; nothing else is read from a database, which others may write to."""
    return torch.load(io.BytesIO(kept.numpy().tobytes()), weights_only=True)


def run_state(run: ModuleRun) -> Tensor:
    """Buffers, what the module carries, and how far its batches are.

    Raises:
        UnkeptError: it carries something else than tensors, numbers and words.
    """
    attributes = sorted(run.carried.changed())
    values = run.carried.read(attributes)
    if any(value is NOTHING for value in values):
        raise UnkeptError("an attribute was deleted")
    return to_tensor(
        {
            "steps": run.steps,
            "draws": _digest(run),
            "buffers": {name: buffer.detach().clone() for name, buffer in run.module.named_buffers()},
            "attributes": attributes,
            "carried": values,
        }
    )


def restore_run(run: ModuleRun, state: Tensor) -> None:
    """Let a run that has made no step go on from a state: its batches come again, one after the other, unused.

    Raises:
        UnkeptError: other random numbers were drawn meanwhile, so that other batches may come next than came then.
    """
    kept = from_tensor(state)
    for _ in range(kept["steps"]):
        run.next_batch()
    if _digest(run) != kept["draws"]:
        raise UnkeptError("its batches do not come as they came before")
    buffers = dict(run.module.named_buffers())
    if buffers.keys() != kept["buffers"].keys():
        raise UnkeptError("its module has other buffers than before")
    with torch.no_grad():
        for name, buffer in buffers.items():
            buffer.copy_(kept["buffers"][name])
    run.carried.write([tuple(each) for each in kept["attributes"]], kept["carried"])


def _digest(run: ModuleRun) -> str:
    """Of the random numbers that come next."""
    cpu, cuda, (of_numpy, of_python) = run.random_state
    name, words, *others = of_numpy
    digest = sha256(cpu.numpy().tobytes() + words.tobytes() + repr((name, others, of_python)).encode())
    if cuda is not None:
        digest.update(cuda.numpy().tobytes())
    return digest.hexdigest()
