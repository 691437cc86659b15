"""What somebody gave for a study that changes nothing of it."""

from collections.abc import Iterator, Mapping
from typing import Any

from gradstudy.models.strategies import STRATEGIES
from gradstudy.models.tasks.catalogue import find_task
from gradstudy.models.tasks.module_task import is_module_task
from gradstudy.study.spec.study_spec import StudySpec

_SWITCHED_OFF = (False, "none")
"""A value that is the default of today: attention was a switch."""


def without_effect(spec: StudySpec, given: Mapping[str, Any]) -> list[str]:
    """A sentence for each given value that changes nothing in a study of this kind.

    Args:
        spec: of the study.
        given: the part of it that was given, in the form of a spec file.
    """
    factors = given.get("space", {}).get("factors", {})
    varied = [spec.place_of(factor) for factor in spec.space.factors if factor in factors]
    names = dict.fromkeys(".".join(place) for place in [*_places(given), *varied])
    reasons = {name: _reason(spec, name) for name in names}
    return [f"{name} has no effect, {reason}" for name, reason in reasons.items() if reason is not None]


def beside_factors(spec: StudySpec, given: Mapping[str, Any]) -> list[str]:
    """A sentence for each given value in whose place the study searches several.

    That of a factor which only what the study is scaled to makes it vary says which values these are.
    """
    places = set(_places(given))
    made = spec.space.scale_to.keys() - given.get("space", {}).get("factors", {}).keys()
    varied = {factor: spec.place_of(factor) for factor in spec.space.factors if factor not in made}
    return [
        f"{'.'.join(place)} has no effect, because the study varies {factor}"
        for factor, place in varied.items()
        if place in places
    ]


def without_defaults(values: Mapping[str, Any]) -> dict[str, Any]:
    """A spec file's values without those that are the defaults: a file that was written by a program has them all."""
    return _beyond(values, StudySpec(name="x").model_dump(mode="json"))


def _reason(spec: StudySpec, name: str) -> str | None:
    """Why a field changes nothing; None where it does."""
    is_module = is_module_task(spec.task)
    if name.startswith("model.") and is_module:
        return f"because task {spec.task!r} makes its own model; what its function takes is an option of the task"
    if name == "model.forget_bias" and "lstm" not in spec.space.cells:
        return f"because no LSTM is searched: cells are {', '.join(spec.space.cells)}"
    if name == "model.base_width" and "mup" not in _parametrizations(spec):
        return "because the parametrization is standard: mup has a base width"
    if name == "model.embedding_size" and "cross_entropy" not in find_task(spec.task)[0].losses:
        return f"because task {spec.task!r} has real values, which are not embedded"
    if name == "divergence.skipped_in_a_row" and not _skips(spec):
        return "because no step is skipped without guard"
    if "loss" not in spec.space.factors:
        squared = spec.trained_loss == "mse"
        if name == "divergence.blow_up" and squared:
            return "because the loss is mse: blow_up_squared counts"
        if name == "divergence.blow_up_squared" and not squared:
            return f"because the loss is {spec.trained_loss}: blow_up counts"
    if name in ("task_folder", "own_draws") and not is_module:
        return "because only a model of your own is " + ("imported" if name == "task_folder" else "asked how it draws")
    return None


def _parametrizations(spec: StudySpec) -> tuple[Any, ...]:
    return spec.space.factors.get("parametrization", (spec.model.parametrization,))


def _skips(spec: StudySpec) -> bool:
    """Whether any trial skips steps that are not finite: by the guard, the loss scaling of float16 or its strategy."""
    factors = spec.space.factors
    by_rule = any(STRATEGIES[strategy].skips for strategy in spec.space.strategies)
    return spec.guard or by_rule or "guard" in factors or "float16" in factors.get("precision", (spec.precision,))


def _places(values: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Where values lie, each by the names on the way to it."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from ((name, *inner) for inner in _places(value))
        else:
            yield (name,)


def _beyond(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    kept = {}
    for name, value in values.items():
        default = defaults.get(name)
        if isinstance(value, Mapping):
            kept[name] = _beyond(value, default if isinstance(default, Mapping) else {})
        elif name not in defaults or (value != default and (value, default) != _SWITCHED_OFF):
            kept[name] = value
    return kept
