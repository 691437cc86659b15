"""Batches that are padded to one shape, and now and then a look at what a run would do with its own alone."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from gradstudy.models.user_module.padding import AS_THEY_ARE, signature
from gradstudy.models.user_module.rows import ModuleRows
from gradstudy.models.user_module.run import ModuleRun

LOOKED_AT = frozenset(2 * 4**n for n in range(16))
"""Steps at which a run whose batch is padded is compared with itself alone, beside its first one."""

Step = tuple[Tensor, list[Tensor | None]]
"""Loss and gradients."""


def padded_and_alone(
    rows: ModuleRows, slots: Sequence[int], runs: Sequence[ModuleRun], batches: Sequence[Any]
) -> tuple[dict[int, Step], list[Any]]:
    """Batches of one shape; and by their place, of those that are padded and looked at, what the run does alone."""
    company = runs[0].company
    assert company is not None
    padding = company.padding
    if padding is None:
        return {}, list(batches)
    padded = padding.padded(batches)
    alone: dict[int, Step] = {}
    for place, (slot, run, batch) in enumerate(zip(slots, runs, batches, strict=True)):
        is_padded = padding is AS_THEY_ARE or signature(batch) != signature(padded[place])
        if run.steps in LOOKED_AT and is_padded:
            rows.load(slot, run)
            with run.unchanged():
                alone[place] = run.gradients(batch, run.steps - 1, advance=False)
    return alone, padded
