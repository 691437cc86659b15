"""What a reader must know about how a plain Optuna study was read, in sentences."""

from collections.abc import Iterator

from gradstudy.study.integrations.findings import Findings
from gradstudy.study.spec.plain import FIRST_REPORTS, GIVEN, UNKNOWN_STRATEGY
from gradstudy.study.wording import counted


def notes(found: Findings) -> list[str]:
    """The sentences, the most important first."""
    return [
        *_of_failures(found),
        *_of_stand_ins(found),
        *_of_the_reference(found),
        *_of_the_objective(found),
        *_of_parameters(found),
        *_of_constraints(found),
    ]


def _of_failures(found: Findings) -> Iterator[str]:
    if not found.untold:
        return
    left = (
        f"{counted(found.untold, 'trial')} failed, or were ended by the program, and left no value: Optuna keeps the "
        "same of an objective that was NaN and of one that raised an error."
    )
    if found.said:
        yield f"{left} They count as {found.failures}, as was said."
    elif found.failures == "diverged":
        yield (
            f"{left} Their learning rates are higher than those of the other runs beyond chance, so they count as "
            "diverged; --failures failed counts them neither way."
        )
    else:
        yield (
            f"{left} Their learning rates are not clearly higher than those of the other runs, so they count neither "
            "way; --failures diverged counts them as diverged."
        )


def _of_stand_ins(found: Findings) -> Iterator[str]:
    ended = sum(each.reason == "stand_in" for each in found.ended)
    if ended:
        yield (
            f"{counted(ended, 'trial')} ended at exactly {found.losses.stand_in:g}, far above all others: taken for "
            "what the program returns in the place of a loss that is not finite, they count as diverged."
        )


def _of_the_reference(found: Findings) -> Iterator[str]:
    reference = found.reference
    if reference.source == GIVEN or reference.loss != reference.loss:
        return
    first = reference.source == FIRST_REPORTS
    came = "what runs of low learning rates reported first" if first else "the worst that a run ended at, but outliers"
    counts = f"A diverged run counts as {found.losses.sign * reference.loss:.3g} ({came})"
    what = (
        "a run that learned nothing" if first else "a run that learned nothing, or ended somewhat worse than it began,"
    )
    yield (
        f"The loss of the untrained model is not known. {counts}; {what} counts as trained. --untrained with the "
        "objective of your untrained model tells them apart."
    )


def _of_the_objective(found: Findings) -> Iterator[str]:
    names, several = found.plain.objectives, len(found.plain.directions) > 1
    name = f" ({names[found.objective]})" if names else ""
    which = f"objective {found.objective}{name}" if several else "its objective"
    if several:
        yield f"The study has {len(found.plain.directions)} objectives: the answer is of {which} alone."
    if found.is_maximized:
        yield f"The study maximises {which}: tables have it with a minus, as a loss."


def _of_parameters(found: Findings) -> Iterator[str]:
    if found.parameters is None:
        return
    roles = found.parameters.roles
    names = ", ".join(repr(name) for name in roles["learning_rate"])
    decades = ", as its logarithm to the base 10" if found.parameters.rates_in_decades else ""
    yield f"The learning rate is the parameter {names}{decades}."
    if not roles["strategy"] and not roles["threshold"]:
        yield f"No parameter is about clipping: all is of the clipping that the program does ({UNKNOWN_STRATEGY!r})."
    if found.further.left_out:
        yield (
            f"There are too few runs to keep the values of {', '.join(found.further.left_out)} apart: runs of "
            "different ones are compared."
        )
    if found.unreadable:
        yield f"{counted(found.unreadable, 'trial')} without a learning rate that can be read: left out."


def _of_constraints(found: Findings) -> Iterator[str]:
    if found.infeasible:
        names = ", ".join(sorted({name for each in found.infeasible.values() for name in each}))
        yield (
            f"{counted(len(found.infeasible), 'trial')} violated a constraint ({names}) and are left out: such a "
            "setting cannot be the answer, whatever its loss."
        )
