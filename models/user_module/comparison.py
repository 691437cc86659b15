"""Steps of runs in a batch beside the same steps of each run alone."""

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten

from gradstudy.models.user_module.padding import AS_THEY_ARE, signature
from gradstudy.models.user_module.program import strictly_batched
from gradstudy.models.user_module.random_state import DRAWS
from gradstudy.models.user_module.run import ModuleRun
from gradstudy.models.user_module.state.carried_state import Attribute, copied
from gradstudy.models.user_module.state.history import NOT_DETACHED
from gradstudy.models.user_module.state.marks import is_tensor
from gradstudy.models.user_module.state.stacked_state import state_signature

TOLERANCE = 1e-4
"""Relative difference of losses and of gradients up to which a batched run equals a single one, in float32."""


PADDED_TOLERANCE = 1e-10
"""The same in float64 for runs whose batches are padded."""


LOOKED_AT = frozenset(2 * 4**n for n in range(16))
"""Steps at which runs whose batches are padded are compared again with what they do alone."""

Step = tuple[Tensor, list[Tensor | None]]
"""Loss and gradients."""


class Taken(NamedTuple):
    """What a step of a run left.

    Attributes:
        loss: a tensor without axes.
        gradients: of each parameter, None where it plays no part.
        buffers: of the module, by name.
        state: what the module carries to the next step, by attribute.
    """

    loss: Tensor
    gradients: list[Tensor | None]
    buffers: dict[str, Tensor]
    state: dict[Attribute, Any]

    @classmethod
    def of(cls, run: ModuleRun, loss: Tensor, gradients: Sequence[Tensor | None]) -> "Taken":
        """What is left of a run that has just taken a step."""
        changed = sorted(run.carried.changed())
        state = dict(zip(changed, map(copied, run.carried.read(changed)), strict=True))
        return cls(loss, list(gradients), {name: one.clone() for name, one in run.module.named_buffers()}, state)


class Comparison:
    """The first steps of several runs, taken alone; they leave no trace."""

    def __init__(self, runs: Sequence[ModuleRun], steps: Sequence[int]) -> None:
        """Take the steps; raises whatever the user's code raises."""
        self.runs, self.steps = runs, steps
        self.alone = [_alone(run, steps) for run in runs]

    @property
    def carries(self) -> bool:
        """Whether a run was seen to carry anything to the next step."""
        return any(taken.state for of_run in self.alone for taken in of_run)

    @property
    def counts(self) -> bool:
        """Whether runs carry numbers that change at every step, so that only those at the same step are alike."""
        return any(_numbers(first.state) != _numbers(last.state) for first, *_, last in self.alone)

    def disagreement(self) -> str | None:
        """How the same steps in a batch differ; None where they do not."""
        company = self.runs[0].company
        assert company is not None
        if len({company.signature(run.first_batches[self.steps[0]]) for run in self.runs}) > 1:
            return "its batches differ in shape, or hold something else than tensors"
        try:
            together = _together(self.runs[0], self.runs, self.steps)
        except Exception as error:
            return first_line(error)
        return self._difference(together)

    def _difference(self, together: list[list[Taken]]) -> str | None:
        of_runs = zip(self.alone, together, strict=True)
        pairs = (pair for steps in of_runs for pair in zip(*steps, strict=True))
        allowed = tolerance(self.runs[0])
        return next((reason for alone, batched in pairs if (reason := _difference(alone, batched, allowed))), None)


def _alone(run: ModuleRun, steps: Iterable[int]) -> list[Taken]:
    with run.unchanged():
        return [Taken.of(run, *run.gradients(run.first_batches[step], step, advance=False)) for step in steps]


def _together(skeleton: ModuleRun, runs: Sequence[ModuleRun], steps: Sequence[int]) -> list[list[Taken]]:
    """The steps of each run, those in one program that can be."""
    company = skeleton.company
    assert company is not None
    found: list[list[Taken]] = [[] for _ in runs]
    with ExitStack() as stack:
        for run in runs:
            stack.enter_context(run.unchanged())
        for turn, step in enumerate(steps):
            groups: dict[Hashable, list[int]] = defaultdict(list)
            for number, run in enumerate(runs):
                carried = state_signature(run.carried, sorted(company.carried))
                groups[company.signature(run.first_batches[step]), carried].append(number)
            for group in groups.values():
                # In another order at each step: what hides in an object or a closure is then that of the wrong run.
                group = group[:: -1 if turn % 2 else 1]
                members = [runs[number] for number in group]
                trained = [run.parameters for run in members]
                parameters = {name: torch.stack([one[name].detach() for one in trained]) for name in trained[0]}
                batches = [run.first_batches[step] for run in members]
                if company.padding is not None:
                    batches = company.padding.padded(batches, to_longest=True)
                losses, gradients = strictly_batched(skeleton, members, parameters, batches, [step] * len(group))
                for place, number in enumerate(group):
                    own = [None if gradient is None else gradient[place] for gradient in gradients]
                    found[number].append(Taken.of(runs[number], losses[place], own))
    return found


def agreement(skeleton: ModuleRun, run: ModuleRun) -> str | None:
    """Why a run's first step, and where it carries anything the second, cannot be trusted to a batched program.

    Where batches are padded, also the step whose batch is padded most. None where both give the same.
    """
    assert skeleton.company is not None
    padding = skeleton.company.padding
    alone = Comparison([run], [0] if padding is None else [0, padding.shortest(run.first_batches)])
    if alone.carries:
        alone = Comparison([run], [0, 1])
    try:
        return alone._difference(_together(skeleton, [run], alone.steps))
    except Exception as error:
        return first_line(error)


def _difference(alone: Taken, batched: Taken, allowed: float) -> str | None:
    """How what a step left in a batch differs."""
    if reason := disagreement(alone[:2], batched[:2], allowed):
        return reason
    for name, buffer in alone.buffers.items():
        if not _near(buffer, batched.buffers[name]):
            return f"its buffer {name} differs"
    for attribute in sorted(alone.state.keys() | batched.state.keys()):
        (one, its_form), (other, form) = (tree_flatten(taken.state.get(attribute)) for taken in (alone, batched))
        if its_form != form or not all(map(_near, one, other)):
            return f"its attribute {attribute[1]} differs"
    return None


def _near(alone: Any, batched: Any) -> bool:
    """Whether numbers or tensors are the same but for rounding."""
    if not is_tensor(alone) or not is_tensor(batched):
        return repr(alone) == repr(batched)
    if (alone.shape, alone.dtype) != (batched.shape, batched.dtype):
        return False
    a, b = alone.detach().double(), batched.detach().double()
    return torch.allclose(b, a, rtol=TOLERANCE, atol=1e-6, equal_nan=True)


def _numbers(state: dict[Attribute, Any]) -> dict[Attribute, list[str]]:
    """What of a state is no tensor."""
    return {
        attribute: [repr(leaf) for leaf in tree_flatten(value)[0] if not is_tensor(leaf)]
        for attribute, value in state.items()
    }


def padded_alone(
    runs: Sequence[ModuleRun], batches: Sequence[Any], padded: Sequence[Any], load: Callable[[int], None]
) -> dict[int, Step]:
    """What runs do alone, by their place, whose batches are padded at a step at which they are looked at.

    Args:
        runs: that go through one program.
        batches: one for each run.
        padded: the same of one shape.
        load: gives the module of the run at a place its parameters.
    """
    found: dict[int, Step] = {}
    for place, run in enumerate(runs):
        is_padded = run.padding is AS_THEY_ARE or signature(batches[place]) != signature(padded[place])
        if run.steps in LOOKED_AT and is_padded:
            load(place)
            with run.unchanged():
                found[place] = run.gradients(batches[place], run.steps - 1, advance=False)
    return found


def tolerance(run: ModuleRun) -> float:
    """By how much a run may differ in a batch, relatively; padded in double precision by no more than rounding."""
    doubles = all(parameter.dtype == torch.float64 for parameter in run.parameters.values())
    return PADDED_TOLERANCE if run.padding is not None and doubles else TOLERANCE


def disagreement(
    single: tuple[Tensor, Sequence[Tensor | None]],
    batched: tuple[Tensor, Sequence[Tensor | None]],
    allowed: float = TOLERANCE,
) -> str | None:
    """How one run's loss and gradients differ from those of the same run in a batch; None where they do not."""
    if not torch.allclose(single[0].double(), batched[0].double(), rtol=allowed, atol=0, equal_nan=True):
        return f"its loss is {float(batched[0]):.6g} in a batch and {float(single[0]):.6g} alone"
    norm = difference = 0.0
    for alone, in_company in zip(single[1], batched[1], strict=True):
        a, b = (0.0 if gradient is None else gradient.to_dense().double() for gradient in (alone, in_company))
        norm = math.hypot(norm, torch.as_tensor(a).norm().item())
        difference = math.hypot(difference, torch.as_tensor(a - b).norm().item())
    return f"its gradient differs by {difference / norm:.2g} of its norm" if difference > allowed * norm else None


def first_line(error: BaseException) -> str:
    """What is wrong, in one line."""
    if NOT_DETACHED in getattr(error, "__notes__", ()):
        return NOT_DETACHED.removesuffix(".")
    text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if "randomness" in text:  # torch names the flags of vmap
        return DRAWS
    return text.split(". ")[0].removesuffix(".")
