"""How many trials a worker trains at once. Does not import torch for the data of a task on a CPU."""

from collections import defaultdict
from collections.abc import Iterator
from math import ceil
from typing import TYPE_CHECKING

from gradstudy.models.footprint import bytes_per_trial
from gradstudy.models.model_shape import parameter_layout
from gradstudy.models.trainable import TaskData, Trainable
from gradstudy.models.user_module.loading import UserModule
from gradstudy.study.spec.factors import described as factors_in_words
from gradstudy.study.spec.parts import CellName
from gradstudy.study.spec.study_spec import StudySpec
from gradstudy.study.spec.variations import variations
from gradstudy.study.training.data import load_data, model_shape

if TYPE_CHECKING:
    from gradstudy.models.user_module.batching import Batching

CPU_SLOTS = 16
"""Beyond this, a core gains nothing: the memory that a step touches no longer fits its cache."""

CPU_BYTES = 512 * 2**20
"""What the trials of one worker may take on a CPU; torch and the data come on top, some 400 MiB."""

CPU_SLOTS_TOGETHER = 32
"""As many for trials that begin together: one program takes a step of all of them, and each costs as much to call."""

ITEMSIZE = {"float32": 4, "bfloat16": 2, "float16": 2}
"""Bytes of a number, by precision."""

GPU_SLOTS = 256
GPU_SHARE = 0.5
"""Of a GPU's free memory, what the trials of one worker may take."""


def trial_bytes(spec: StudySpec, data: Trainable, device: str = "cpu") -> int:
    """The memory that one more trial takes, in bytes: that of the study's largest cell and factors."""
    if tried := tried_batching(spec, data, device):
        return max(1, *(one.trial_bytes for _, _, one in tried))
    return max(
        _trial_bytes(one, of_one) for one, of_one in _varied_with_data(spec, data) if not isinstance(of_one, UserModule)
    )


def _varied_with_data(spec: StudySpec, data: Trainable) -> Iterator[tuple[StudySpec, Trainable]]:
    """The spec of each combination of factors with its data, which are loaded once for each choice of options.

    Args:
        spec: of the study.
        data: with the first of its factors.
    """
    loaded: list[tuple[object, Trainable]] = []
    for one in variations(spec):
        found = next((known for options, known in loaded if options == one.task_options), None)
        if found is None:
            found = load_data(one) if loaded else data
            loaded.append((one.task_options, found))
        yield one, found


def tried_batching(spec: StudySpec, data: Trainable, device: str) -> list[tuple[StudySpec, CellName, "Batching"]]:
    """How a user's module is trained with each combination of factors and each cell; of a task of ours, nothing."""
    modules = [(one, of_one) for one, of_one in _varied_with_data(spec, data) if isinstance(of_one, UserModule)]
    if not modules:
        return []
    from gradstudy.study.training.arrays import batching  # torch

    return [(one, cell, batching(one, cell, of_one, device)) for one, of_one in modules for cell in one.space.cells]


def _trial_bytes(spec: StudySpec, data: TaskData) -> int:
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
                itemsize=ITEMSIZE[spec.precision],
            )
        )
    return max(sizes)


def choose_slots(spec: StudySpec, data: Trainable, device: str, workers: int = 1) -> int:
    """As many slots as the device gains from, within the memory that they may take; at least one.

    A user's module that cannot be batched, with whichever of its factors, is trained one at a time. Trials that begin
    together do so in companies of one size, as far as the study has trials enough for each of its ``workers``.
    """
    tried = tried_batching(spec, data, device)
    if not all(one.batched for _, _, one in tried):
        return 1
    together = _begin_together(tried)
    if device.startswith("cuda"):
        import torch

        free, _ = torch.cuda.mem_get_info(device)
        most, room = GPU_SLOTS, int(GPU_SHARE * free)
    else:
        most, room = CPU_SLOTS_TOGETHER if together else CPU_SLOTS, CPU_BYTES
    most = max(1, min(most, room // trial_bytes(spec, data, device), spec.trials))
    if not together:
        return most
    of_worker = ceil(spec.trials / workers)
    return ceil(of_worker / ceil(of_worker / most))


def _begin_together(tried: list[tuple[StudySpec, CellName, "Batching"]]) -> bool:
    return any(one.shares_coins or one.counts_steps for _, _, one in tried)


def begin_together(spec: StudySpec, data: Trainable, device: str, slots: int) -> int:
    """How many free slots a worker waits for before it fills them: all, where trials begin together, else one.

    A user's model whose trials share the draws of a step, or count steps, is batched over those at the same step: they
    begin together. A program costs as much to call for few trials as for many, so that no slot that is free earlier
    would gain by a program of its own.
    """
    shares = _begin_together(tried_batching(spec, data, device))
    return slots if shares else 1


def described(spec: StudySpec, data: Trainable, device: str) -> list[str]:
    """What a study trains on, in lines; of a user's module, for each cell, also how it is trained and why.

    Where that differs by its options and batch size, there is a line for each choice of those that the study varies.
    """
    if not isinstance(data, UserModule):
        trained, held_out = len(data.train), len(data.validation)
        examples = f"{data.origin}: {trained:,} examples to train on, {held_out:,} to validate on"
        return [examples, *data.reading, data.details]
    found: dict[str, dict[str, str]] = defaultdict(dict)
    of_all = tried_batching(spec, data, device)
    for one, cell, tried in of_all:
        of_cell = f" ({cell})" if data.takes("cell") and len(spec.space.cells) > 1 else ""
        found[of_cell][_choice(spec, one)] = _way(tried)
    origin = f"from {data.folder or 'an installed package'}"
    lines = []
    for of_cell, ways in found.items():
        differ = len(set(ways.values())) > 1
        shown = ways if differ else {"": next(iter(ways.values()))}
        lines += [f"{data.task}{of_cell}{choice} {origin}: {way}" for choice, way in shown.items()]
    optimizers = spec.space.factors.get("optimizer", (spec.optimizer,))
    returned = next((tried.optimizer for _, _, tried in of_all if tried.optimizer), None)
    if returned and "own" in optimizers:
        lines.append(f"optimizer: the {returned.name} that {data.task} returns (--optimizer NAME takes another)")
    elif returned:
        used = " and ".join(map(str, optimizers))
        lines.append(f"the optimizer that {data.task} returns is not used, but {used}: --optimizer own takes it")
    return lines


def _choice(spec: StudySpec, one: StudySpec) -> str:
    """The options and the batch size that a study varies, as one of its variations has them."""
    values = {"batch_size": one.batch_size, **one.task_options}
    varied = factors_in_words({name: value for name, value in values.items() if name in spec.space.factors})
    return f" with {varied}" if varied else ""


def _way(tried: "Batching") -> str:
    how = "many at a time, as one batched program" if tried.batched else "one at a time"
    because = f": {tried.reason}" if tried.reason else ""
    if tried.shares_coins:
        because = "; random draws decide what it does, and trials share those of a step (--own-draws: each its own)"
    padded = "; batches are padded to one length" if tried.padding and tried.padding.longest else ""
    return f"{tried.model}, {how}{padded}{because}"
