"""A trial's own spec: that of its study with the trial's factors put in; what of it an array has in common."""

from gradstudy.models.optimizer_settings import HYPERPARAMETERS
from gradstudy.study.spec.factors import NONE, Factors, combinations, replaced
from gradstudy.study.spec.study_spec import StudySpec, parse_spec


def varied(spec: StudySpec, factors: Factors) -> StudySpec:
    """The spec that a trial with these factors is trained by; it varies nothing itself."""
    if not factors:
        return spec
    values = spec.model_dump(mode="json")
    values["space"] |= {"factors": {}, "hyperparameters": {}, "scale_to": {}}
    for name, value in factors:
        values = replaced(values, spec.place_of(name), value)
    return parse_spec(values)


def variations(spec: StudySpec) -> list[StudySpec]:
    """The spec of each combination of the factors' values, the first values first; of a spec without factors itself."""
    return [varied(spec, factors) for factors in combinations(spec.space.factors)]


def in_common(spec: StudySpec, factors: Factors) -> Factors:
    """The factors by which trials share an array: each has its own hyperparameters of the optimizer there."""
    return tuple((name, NONE if _is_of_a_slot(spec, name) else value) for name, value in factors)


def own_hyperparameters(spec: StudySpec, factors: Factors) -> dict[str, float]:
    """The hyperparameters of a trial that its array has not, where it shares one by ``in_common``."""
    return {name: float(value) for name, value in factors if value != NONE and _is_of_a_slot(spec, name)}


def _is_of_a_slot(spec: StudySpec, factor: str) -> bool:
    return factor in HYPERPARAMETERS and spec.place_of(factor) == (factor,)
