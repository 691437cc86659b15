"""How many trials a worker trains at once."""

import torch

from gradstudy.models.footprint import bytes_per_trial
from gradstudy.models.model_shape import parameter_layout
from gradstudy.models.trainable import Trainable
from gradstudy.models.user_module.loading import UserModule
from gradstudy.study.spec.study_spec import StudySpec
from gradstudy.study.spec.variations import variations
from gradstudy.study.training.arrays import batching, model_shape
from gradstudy.study.training.data import load_data

CPU_SLOTS = 16
"""Beyond this, a core gains nothing: the memory that a step touches no longer fits its cache."""

CPU_BYTES = 512 * 2**20
"""What the trials of one worker may take on a CPU; torch and the data come on top, some 400 MiB."""

COHORTS = 4
"""Of trials that share draws, how many a worker has under way at most: each is a program of its own at every step."""

GPU_SLOTS = 256
GPU_SHARE = 0.5
"""Of a GPU's free memory, what the trials of one worker may take."""


def trial_bytes(spec: StudySpec, data: Trainable, device: str = "cpu") -> int:
    """The memory that one more trial takes, in bytes: that of the study's largest cell and factors."""
    first, *others = variations(spec)
    sizes = [_trial_bytes(first, data, device)]
    for other in others:
        same = other.task_options == first.task_options
        sizes.append(_trial_bytes(other, data if same else load_data(other), device))
    return max(sizes)


def _trial_bytes(spec: StudySpec, data: Trainable, device: str) -> int:
    if isinstance(data, UserModule):
        return max(1, *(batching(spec, cell, data, device).trial_bytes for cell in spec.space.cells))
    sizes = []
    for cell in spec.space.cells:
        shape = model_shape(spec, cell, data)
        sizes.append(
            bytes_per_trial(
                shape,
                parameter_layout(shape),
                batch_size=spec.batch_size,
                source_steps=data.source_steps,
                target_steps=data.target_steps,
                optimizer=spec.named_optimizer.name,
                dtype=getattr(torch, spec.precision),
            )
        )
    return max(sizes)


def choose_slots(spec: StudySpec, data: Trainable, device: str) -> int:
    """As many slots as the device gains from, within the memory that they may take; at least one.

    A user's module that cannot be batched is trained one at a time.
    """
    if isinstance(data, UserModule) and not all(
        batching(spec, cell, data, device).batched for cell in spec.space.cells
    ):
        return 1
    if torch.device(device).type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        most, room = GPU_SLOTS, int(GPU_SHARE * free)
    else:
        most, room = CPU_SLOTS, CPU_BYTES
    return max(1, min(most, room // trial_bytes(spec, data, device), spec.trials))


def begin_together(spec: StudySpec, data: Trainable, device: str, slots: int) -> int:
    """How many free slots a worker waits for before it fills them.

    A user's model whose trials share the draws of a step is batched over those at the same step: they begin together.
    """
    if not isinstance(data, UserModule):
        return 1
    shares = any(batching(spec, cell, data, device).shares_coins for cell in spec.space.cells)
    return max(1, slots // COHORTS) if shares else 1


def described(spec: StudySpec, data: Trainable, device: str) -> list[str]:
    """What a study trains on, in lines; of a user's module, for each cell, also how it is trained and why."""
    if not isinstance(data, UserModule):
        trained, held_out = len(data.train), len(data.validation)
        examples = f"{data.origin}: {trained:,} examples to train on, {held_out:,} to validate on"
        return [examples, *data.reading, data.details]
    lines = []
    for cell in spec.space.cells:
        tried = batching(spec, cell, data, device)
        how = "many at a time, as one batched program" if tried.batched else "one at a time"
        because = f": {tried.reason}" if tried.reason else ""
        if tried.shares_coins:
            because = "; random draws decide what it does, and trials share those of a step (--own-draws: each its own)"
        of_cell = f" ({cell})" if data.takes("cell") and len(spec.space.cells) > 1 else ""
        lines.append(
            f"{data.task}{of_cell} from {data.folder or 'an installed package'}: {tried.model}, {how}{because}"
        )
        optimizers = spec.space.factors.get("optimizer", (spec.optimizer,))
        if tried.has_optimizer and "own" not in optimizers:
            used = " and ".join(map(str, optimizers))
            lines.append(f"the optimizer that {data.task} returns is not used, but {used}: --optimizer own takes it")
    return lines
