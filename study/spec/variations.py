"""A trial's own spec: that of its study with the trial's factors put in."""

from gradstudy.study.spec.factors import Factors, combinations, replaced
from gradstudy.study.spec.study_spec import StudySpec, parse_spec


def varied(spec: StudySpec, factors: Factors) -> StudySpec:
    """The spec that a trial with these factors is trained by; it varies nothing itself."""
    if not spec.space.factors:
        return spec
    values = spec.model_dump(mode="json")
    values["space"]["factors"] = {}
    for name, value in factors:
        values = replaced(values, spec.place_of(name), value)
    return parse_spec(values)


def variations(spec: StudySpec) -> list[StudySpec]:
    """The spec of each combination of the factors' values, the first values first; of a spec without factors itself."""
    return [varied(spec, factors) for factors in combinations(spec.space.factors)]
