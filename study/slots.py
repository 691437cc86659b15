"""How many trials a worker trains at once."""

import torch

from gradstudy.models.footprint import bytes_per_trial
from gradstudy.models.seq2seq import parameter_layout
from gradstudy.models.tasks.data import TaskData
from gradstudy.study.spec import StudySpec
from gradstudy.study.training import model_shape

CPU_SLOTS = 16
"""Beyond this, a core gains nothing: the memory that a step touches no longer fits its cache."""

CPU_BYTES = 512 * 2**20
"""What the trials of one worker may take on a CPU; torch and the data come on top, some 400 MiB."""

GPU_SLOTS = 256
GPU_SHARE = 0.5
"""Of a GPU's free memory, what the trials of one worker may take."""


def trial_bytes(spec: StudySpec, data: TaskData) -> int:
    """The memory that one more trial takes, in bytes: that of the study's largest cell."""
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
                optimizer=spec.optimizer,
                dtype=getattr(torch, spec.precision),
            )
        )
    return max(sizes)


def choose_slots(spec: StudySpec, data: TaskData, device: str) -> int:
    """As many slots as the device gains from, within the memory that they may take; at least one."""
    if torch.device(device).type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        most, room = GPU_SLOTS, int(GPU_SHARE * free)
    else:
        most, room = CPU_SLOTS, CPU_BYTES
    return max(1, min(most, room // trial_bytes(spec, data), spec.trials))
