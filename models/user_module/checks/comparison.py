"""Steps of runs in a batch beside the same steps of each run alone."""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from collections.abc import Set as AbstractSet
from contextlib import ExitStack
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten

from gradstudy.models.user_module.checks.disagreement import TOLERANCE, disagreement, strict_disagreement
from gradstudy.models.user_module.checks.in_float64 import batch_in_float64, in_float64
from gradstudy.models.user_module.checks.reasons import in_words
from gradstudy.models.user_module.program import are_finite, strictly_batched
from gradstudy.models.user_module.run import ModuleRun
from gradstudy.models.user_module.state.carried_state import Attribute, copied
from gradstudy.models.user_module.state.marks import is_tensor
from gradstudy.models.user_module.state.stacked_state import state_signature

PADDED_TOLERANCE = 1e-10
"""Relative difference of losses and gradients in float64 of runs whose batches are padded: no more than rounding."""

Step = tuple[int, Any]
"""The number of a step of a run, and its batch."""


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
    def of(
        cls,
        run: ModuleRun,
        loss: Tensor,
        gradients: Sequence[Tensor | None],
        also: AbstractSet[Attribute] = frozenset(),
    ) -> "Taken":
        """What is left of a run that has just taken a step; of attributes those that have changed, and others."""
        changed = sorted(run.carried.changed() | also)
        state = dict(zip(changed, map(copied, run.carried.read(changed)), strict=True))
        return cls(loss, list(gradients), {name: one.clone() for name, one in run.module.named_buffers()}, state)


class Comparison:
    """Steps of several runs, taken alone one after the other; they leave no trace."""

    def __init__(
        self,
        runs: Sequence[ModuleRun],
        steps: Sequence[int],
        *,
        now: Sequence[Any] | None = None,
        skeleton: ModuleRun | None = None,
    ) -> None:
        """Take the steps; raises whatever the user's code raises.

        Args:
            runs: each of whose modules holds its parameters.
            steps: of the first ones, that each run takes.
            now: batches of the step that each run takes now, going on from what it carries, in place of ``steps``.
            skeleton: whose module computes in a batch; the first run's, if not given.
        """
        self.runs, self.steps, self._now = runs, steps, now
        self._skeleton = skeleton or runs[0]
        if now is None:
            self._of_runs = [[(step, run.first_batches[step]) for step in steps] for run in runs]
        else:
            self._of_runs = [[(run.steps - 1, batch)] for run, batch in zip(runs, now, strict=True)]
        self.alone = [self._alone(run, taken) for run, taken in zip(runs, self._of_runs, strict=True)]

    @property
    def carries(self) -> bool:
        """Whether a run was seen to carry anything to the next step."""
        return any(taken.state for of_run in self.alone for taken in of_run)

    @property
    def counts(self) -> bool:
        """Whether runs carry numbers that change at every step, so that only those at the same step are alike."""
        return any(_numbers(first.state) != _numbers(last.state) for first, *_, last in self.alone)

    def disagreement(self) -> str | None:
        """How the same steps in a batch differ, or why they cannot be batched; None where they do not."""
        company = self._skeleton.company
        assert company is not None
        if len({company.signature(of_run[0][1]) for of_run in self._of_runs}) > 1:
            return "its batches differ in shape, or hold something else than tensors"
        try:
            return self.difference(tolerance(self.runs[0]))
        except Exception as error:
            return in_words(error)

    def difference(self, allowed: float = TOLERANCE, *, strict: bool = False, of: int | None = None) -> str | None:
        """How the same steps in a batch differ; None where they do not.

        Args:
            allowed: relatively.
            strict: whether the gradient of each parameter is compared, too.
            of: the number of the run that is compared; None compares all.

        Raises:
            Exception: they cannot be batched.
        """
        names = list(self.runs[0].parameters)
        for number, (alone, together) in enumerate(zip(self.alone, self._together(), strict=True)):
            for single, batched in zip(alone, together, strict=True) if of in (None, number) else ():
                reason = difference(single, batched, allowed)
                if reason is None and strict:
                    reason = strict_disagreement(names, single[:2], batched[:2])
                if reason:
                    return reason
        return None

    def _alone(self, run: ModuleRun, steps: Sequence[Step]) -> list[Taken]:
        with run.unchanged(anew=self._now is None):
            return [Taken.of(run, *run.gradients(batch, step, advance=False)) for step, batch in steps]

    def _together(self) -> list[list[Taken]]:
        """The steps of each run, those in one program that can be."""
        company = self._skeleton.company
        assert company is not None
        found: list[list[Taken]] = [[] for _ in self.runs]
        with ExitStack() as stack:
            for run in self.runs:
                stack.enter_context(run.unchanged(anew=self._now is None))
            for turn, steps in enumerate(zip(*self._of_runs, strict=True)):
                groups: dict[Hashable, list[int]] = defaultdict(list)
                for number, (run, (_, batch)) in enumerate(zip(self.runs, steps, strict=True)):
                    carried = state_signature(run.carried, sorted(company.carried))
                    groups[company.signature(batch), carried].append(number)
                for group in groups.values():
                    # In another order at each step: what hides in an object or a closure is then that of the wrong run.
                    group = group[:: -1 if turn % 2 else 1]
                    self._batched([self.runs[i] for i in group], [steps[i] for i in group], [found[i] for i in group])
        return found

    def _batched(self, runs: Sequence[ModuleRun], steps: Sequence[Step], found: Sequence[list[Taken]]) -> None:
        """Take a step of each run in one program, and add what it left to ``found``."""
        company = self._skeleton.company
        assert company is not None
        trained = [run.parameters for run in runs]
        parameters = {name: torch.stack([one[name].detach() for one in trained]) for name in trained[0]}
        batches = [batch for _, batch in steps]
        if company.padding is not None:
            batches = company.padding.padded(batches, to_longest=True)
        losses, gradients = strictly_batched(self._skeleton, runs, parameters, batches, [step for step, _ in steps])
        for place, run in enumerate(runs):
            own = [None if gradient is None else gradient[place] for gradient in gradients]
            found[place].append(Taken.of(run, losses[place], own))


def all_agree(skeleton: ModuleRun, runs: Sequence[ModuleRun]) -> bool:
    """Whether the first steps of several runs in one program give what each gives alone, see ``agreement``.

    Where they do not, whatever the reason, each is to be looked at by itself.
    """
    assert skeleton.company is not None
    if skeleton.company.padding is not None:  # each is compared at a step of its own
        return False
    try:
        alone = Comparison(runs, [0], skeleton=skeleton)
        if alone.carries:
            alone = Comparison(runs, [0, 1], skeleton=skeleton)
    except (Exception, SystemExit):  # its own trial will say more
        return False
    return alone.disagreement() is None


def agreement(skeleton: ModuleRun, run: ModuleRun) -> str | None:
    """Why a run's first step, and where it carries anything the second, cannot be trusted to a batched program.

    Where batches are padded, also the step whose batch is padded most. None where both give the same.
    """
    assert skeleton.company is not None
    padding = skeleton.company.padding
    steps = [0] if padding is None else [0, padding.shortest(run.first_batches)]
    alone = Comparison([run], steps, skeleton=skeleton)
    if alone.carries:
        alone = Comparison([run], [0, 1], skeleton=skeleton)
    return alone.disagreement()


def in_float64_differs(
    runs: Sequence[ModuleRun], steps: Sequence[int], *, now: Sequence[Any] | None = None, of: int | None = None
) -> str | None:
    """How steps of several runs in a batch differ in float64, see ``Comparison``; None if they do not.

    Of first steps the gradient of each parameter is compared, of a step ``now`` the gradient as a whole.

    Raises:
        Exception: they cannot be computed in float64.
    """
    with ExitStack() as stack:
        for run in runs:
            stack.enter_context(in_float64(run))
        doubled = None if now is None else [batch_in_float64(batch) for batch in now]
        return Comparison(runs, steps, now=doubled).difference(strict=now is None, of=of)


def difference(alone: Taken, batched: Taken, allowed: float) -> str | None:
    """How what a step left in a batch differs; of what is not finite in both, loss and gradients only."""
    if reason := disagreement(alone[:2], batched[:2], allowed):
        return reason
    own = [None if gradient is None else gradient.unsqueeze(0) for gradient in batched.gradients]
    if not all(are_finite(batched.loss.unsqueeze(0), own)):
        return None
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


def tolerance(run: ModuleRun) -> float:
    """By how much a run may differ in a batch, relatively; padded in double precision by no more than rounding."""
    doubles = all(parameter.dtype == torch.float64 for parameter in run.parameters.values())
    return PADDED_TOLERANCE if run.padding is not None and doubles else TOLERANCE
