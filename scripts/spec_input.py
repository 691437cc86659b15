"""A spec from the command line: flags and a TOML file become the values that a spec is validated from."""

import math
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from gradstudy.study.errors import SpecError
from gradstudy.study.wording import three_digits

if TYPE_CHECKING:
    from gradstudy.study.spec.study_spec import StudySpec

Values = dict[str, Any]
MOST_POINTS = 100
"""Of an axis, by ``LOW:HIGH:POINTS``."""


def names(given: str) -> list[str]:
    """``a,b,c`` as a list."""
    return [name.strip() for name in given.split(",") if name.strip()]


def axis(option: str, given: str) -> Any:
    """``LOW:HIGH`` as two numbers; ``A,B,C`` or ``LOW:HIGH:POINTS``, evenly spread on a logarithmic axis, as values."""
    parts = given.split(":")
    try:
        match parts:
            case [values]:
                return {"values": [float(value) for value in names(values)]}
            case [low, high]:
                return float(low), float(high)
            case [low, high, points]:
                return {"values": _spread(float(low), float(high), int(points))}
            case _:
                pass
    except (ValueError, OverflowError):
        pass
    raise SpecError(
        f"{option} takes LOW:HIGH such as 1e-3:100, values such as 0.1,1,10, or LOW:HIGH:POINTS such as 0.1:10:5, "
        f"but got {given!r}"
    )


def _spread(low: float, high: float, points: int) -> list[float]:
    """So many points from low to high, of three digits but for the ends."""
    if not (0 < low < high < math.inf and 2 <= points <= MOST_POINTS):
        raise ValueError
    between = (three_digits(low * (high / low) ** (place / (points - 1))) for place in range(1, points - 1))
    return [low, *between, high]


def assignments(option: str, given: Sequence[str], example: str) -> dict[str, str]:
    """Each ``NAME=VALUE`` as an entry."""
    pairs = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            raise SpecError(f"{option} takes NAME=VALUE such as {example}, but got {text!r}")
        pairs[name.strip()] = value.strip()
    return pairs


def read_spec_file(path: Path) -> Values:
    """A spec's values from a TOML file; its name is the file's unless it says otherwise.

    Raises:
        SpecError: the file cannot be read or is not TOML.
    """
    try:
        with path.open("rb") as file:
            return {"name": path.stem} | tomllib.load(file)
    except FileNotFoundError:
        raise SpecError(f"there is no file {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"cannot read {path}: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise SpecError(f"{path} is not TOML: {error}") from None
    except RecursionError:
        raise SpecError(f"{path} has brackets in brackets deeper than anything in a spec") from None


def merged(base: Values, over: Values) -> Values:
    """``base`` with the values of ``over`` in its place, table by table."""
    result = dict(base)
    for key, value in over.items():
        inner = result.get(key)
        result[key] = merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return result


def _parsed(values: Values) -> "StudySpec":
    """The spec of these values; where one could be with the optimizer of the user's function, the error says so."""
    from gradstudy.models.tasks.module_task import is_module_task
    from gradstudy.study.spec.study_spec import parse_spec

    try:
        return parse_spec(values)
    except SpecError as error:
        if "optimizer" in values or not is_module_task(str(values.get("task"))):
            raise
        try:
            parse_spec(values | {"optimizer": "own"})
        except SpecError:
            raise error from None
        raise SpecError(f"{error}; if that is for the optimizer of your own function, say --optimizer own") from None


def checked_spec(name: str | None, from_file: Values, flags: Values) -> "tuple[StudySpec, list[str]]":
    """The spec that a name, a spec file's values and flags make, and a sentence for each part without an effect.

    Raises:
        SpecError: it cannot be made, or a flag has no effect on it.
    """
    from gradstudy.study.spec.checks.without_effect import beside_factors, without_defaults, without_effect

    values = merged(({"name": name} if name else {}) | from_file, flags)
    if values.get("preset") is not None:
        from gradstudy.study.literature.presets import preset_values  # pandas and scipy

        space = values.get("space")
        strategies = space.get("strategies") if isinstance(space, dict) else None
        values = merged(preset_values(values["preset"], strategies if isinstance(strategies, list) else None), values)
    spec = _parsed(values)
    for sentence in without_effect(spec, flags):
        raise SpecError(sentence)
    in_file = without_defaults(from_file)
    return spec, [*without_effect(spec, in_file), *beside_factors(spec, merged(in_file, flags))]


def given_spec(name: str | None, flags: Values) -> "tuple[StudySpec, bool]":
    """The spec that a name or a file and flags make, and whether they say more than the name.

    Raises:
        SpecError: it cannot be made, or a flag has no effect on it; where a part of a file has none, that is said.
    """
    from gradstudy.study.launch import with_file

    from_file = file_values(name, flags)
    spec, sentences = checked_spec(name, from_file, flags)
    for sentence in sentences:
        typer.echo(f"gradstudy: {sentence}", err=True)
    return (with_file(spec), True) if flags or from_file else (spec, False)


def file_values(name: str | None, flags: Values) -> Values:
    """What stands in the spec file, where the name is that of one.

    Raises:
        BadParameter: there is neither a name nor a preset.
        SpecError: the file cannot be read or is not TOML.
    """
    from_file = read_spec_file(Path(name)) if name and name.endswith(".toml") else {}
    if not name and "preset" not in flags:
        raise typer.BadParameter(
            "a name for the study, a file FILE.toml, or --preset NAME is needed", param_hint="NAME"
        )
    return from_file
