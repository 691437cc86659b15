"""Threshold ranges from gradients that were measured: a few short runs without clipping for each cell."""

import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from gradstudy.models.gradient_scales import SCALES, gradient_scales
from gradstudy.models.strategies import STRATEGIES
from gradstudy.models.trainable import Trainable
from gradstudy.study.errors import NothingToMeasureError
from gradstudy.study.search.space import Setting
from gradstudy.study.spec.axis import ends
from gradstudy.study.spec.parts import CellName
from gradstudy.study.spec.seeds import PROBING, derived_seed, trial_seed
from gradstudy.study.spec.study_spec import StudySpec
from gradstudy.study.spec.variations import variations
from gradstudy.study.training.arrays import Slots, make_array, make_workspace
from gradstudy.study.training.data import load_data
from gradstudy.study.training.slots import choose_slots

STEPS = 100
"""Of each run, at most: norms are largest early on."""
SEEDS = 4
LEARNING_RATES = (0.0, 0.25, 0.5, 0.75)
"""Where between the ends of the searched range, on a logarithmic axis; at the upper end most runs diverge."""
LOWEST, HIGHEST = 0.05, 0.99
"""Quantiles over the steps from which the ranges follow."""
MARGIN = 10**0.5
"""How far below the lowest quantile a range begins: in a longer run, gradients may become smaller still."""
SCALES_OF: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "norm": ("norm", "norm"),
        "normalize": ("norm", "norm"),
        "value": ("entry", "largest_entry"),
        "param_norm": ("parameter", "largest_parameter"),
        "agc": ("unit_ratio", "largest_unit_ratio"),
        "skip_norm": ("norm", "norm"),
    }
)
"""For each strategy the scale below which a threshold changes most of the gradient, and that above which it changes
nothing. The others keep the catalogue's range: thresholds of those that remember earlier steps are relative to what a
run has seen and fit gradients of any size, those of rms, spectral, recurrent and recurrent_value are not measured."""


@dataclass(frozen=True, kw_only=True)
class Probe:
    """What was measured.

    Attributes:
        scales: one row for each step of each run that did not diverge, with ``cell`` and the columns ``SCALES``.
        runs: how many runs there were.
        diverged: how many of them diverged; they are left out.
        ranges: of the threshold, by strategy.
    """

    scales: pd.DataFrame
    runs: int
    diverged: int
    ranges: dict[str, tuple[float, float]]


def probe(spec: StudySpec, data: Trainable, device: str, advanced: Callable[[float], None]) -> Probe:
    """Train a few short runs without clipping and measure their gradients.

    Nothing is stored: the runs are no trials of the study. Where the study varies factors, there are as many runs with
    each combination of their values.

    Args:
        spec: of the study to be.
        data: of its task.
        device: where to train.
        advanced: is told which share of the work is done.

    Raises:
        NothingToMeasureError: every run of some cell diverged.
    """
    short = spec.model_copy(update={"steps": min(spec.steps, STEPS), "trials": SEEDS * len(LEARNING_RATES)})
    parts, diverged = [], 0
    cells, shorts = spec.space.cells, variations(short)
    data_of = [data if one.task_options == shorts[0].task_options else load_data(one) for one in shorts]
    total = len(cells) * len(shorts)
    for number, cell in enumerate(cells):
        measured = []
        for place, (one, its_data) in enumerate(zip(shorts, data_of, strict=True)):
            before = number * len(shorts) + place
            measured += _measure(one, cell, its_data, device, lambda share, n=before: advanced((n + share) / total))  # type: ignore[misc]
        kept = [scales for scales in measured if scales is not None]
        diverged += len(measured) - len(kept)
        if not kept:
            low, high = ends(spec.space.learning_rate)
            raise NothingToMeasureError(
                f"every run without clipping diverged with {cell} between learning rates {low:g} and {high:g}: "
                "begin the range lower, or give the thresholds yourself"
            )
        parts.append(pd.DataFrame(np.concatenate(kept), columns=list(SCALES)).assign(cell=cell))
    scales = pd.concat(parts, ignore_index=True)
    ranges = {name: threshold_range(name, scales) for name in spec.space.strategies if name in SCALES_OF}
    return Probe(scales=scales, runs=short.trials * total, diverged=diverged, ranges=ranges)


def threshold_range(strategy: str, scales: pd.DataFrame) -> tuple[float, float]:
    """The range of thresholds that are worth searching, over all cells, rounded outwards to two digits.

    It ends at the 99th percentile of what the strategy compares its threshold with: higher ones hardly ever clip. It
    begins half a decade below the 5th percentile of the scale under which most of the gradient is changed at every
    step: there threshold and learning rate are one knob, and a lower threshold is a lower learning rate.
    """
    begins, ends = SCALES_OF[strategy]
    by_cell = scales.groupby("cell")
    low = float(by_cell[begins].quantile(LOWEST).min())
    high = min(float(by_cell[ends].quantile(HIGHEST).max()), STRATEGIES[strategy].limit)
    return _rounded(low / MARGIN, math.floor), _rounded(high, math.ceil)


def _measure(
    spec: StudySpec, cell: CellName, data: Trainable, device: str, advanced: Callable[[float], None]
) -> list[np.ndarray | None]:
    """The scales [steps, len(SCALES)] of each run of a cell, None of one that diverged."""
    low, high = ends(spec.space.learning_rate)
    rates = [low * (high / low) ** place for place in LEARNING_RATES for _ in range(SEEDS)]
    array = make_array(spec, cell, data, choose_slots(spec, data, device), make_workspace(spec, device))
    seen: list[Tensor] = []
    array.watch = lambda *given: seen.append(gradient_scales(*given[:3]))
    slots, waiting = Slots[int](array, spec), deque(enumerate(rates))
    seed = derived_seed(spec.seed, PROBING)
    blocks: list[list[np.ndarray]] = [[] for _ in rates]
    measured: list[np.ndarray | None] = [None for _ in rates]
    ended = 0
    while waiting or slots.keys:
        while waiting and len(slots.keys) < array.slots:
            run, learning_rate = waiting.popleft()
            setting = Setting(cell=cell, strategy="none", threshold=None, learning_rate=learning_rate)
            slots.admit(run, setting, trial_seed(seed, run))
        runs = list(slots.keys)
        over = slots.advance()
        for run, scales in zip(runs, torch.stack(seen, dim=1).cpu().double().numpy(), strict=True):
            blocks[run].append(scales)
        seen.clear()
        for one in over:
            if one.result.outcome in ("trained", "stalled"):
                measured[one.key] = np.concatenate(blocks[one.key])
        ended += len(over)
        underway = sum(len(block) for run in slots.keys for block in blocks[run])
        advanced((ended * spec.steps + underway) / (spec.steps * len(rates)))
    return measured


def _rounded(number: float, outwards: Callable[[float], int]) -> float:
    """Two digits, outwards."""
    unit = 10.0 ** (math.floor(math.log10(number)) - 1)
    return float(f"{outwards(number / unit) * unit:.2g}")
