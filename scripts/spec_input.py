"""A spec from the command line: flags and a TOML file become the values that a spec is validated from."""

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gradstudy.study.errors import SpecError

Values = dict[str, Any]


def names(given: str | None) -> list[str] | None:
    """``a,b,c`` as a list."""
    return None if given is None else [name.strip() for name in given.split(",") if name.strip()]


def bounds(option: str, given: str | None) -> tuple[float, float] | None:
    """``LOW:HIGH`` as two numbers."""
    if given is None:
        return None
    low, colon, high = given.partition(":")
    try:
        if colon:
            return float(low), float(high)
    except ValueError:
        pass
    raise SpecError(f"{option} takes LOW:HIGH such as 1e-3:100, but got {given!r}")


def assignments(option: str, given: Sequence[str] | None, example: str) -> dict[str, str]:
    """Each ``NAME=VALUE`` as an entry."""
    pairs = {}
    for text in given or ():
        name, equals, value = text.partition("=")
        if not equals:
            raise SpecError(f"{option} takes NAME=VALUE such as {example}, but got {text!r}")
        pairs[name.strip()] = value.strip()
    return pairs


def given_values(values: Values) -> Values:
    """The values without those that were not given, in nested tables too."""
    cleaned = {key: given_values(value) if isinstance(value, dict) else value for key, value in values.items()}
    return {key: value for key, value in cleaned.items() if value is not None and value != {}}


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


def merged(base: Values, over: Values) -> Values:
    """``base`` with the values of ``over`` in its place, table by table."""
    result = dict(base)
    for key, value in over.items():
        inner = result.get(key)
        result[key] = merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return result
