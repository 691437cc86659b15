"""A spec as the file that ``gradstudy launch`` takes."""

from typing import Any

import tomli_w


def spec_toml(spec: dict[str, Any]) -> str:
    """The TOML of a stored spec. It has no null: a field that is missing has its default."""
    return tomli_w.dumps(_without_null(spec))


def _without_null(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_null(item) for key, item in value.items() if item is not None}
    return [_without_null(item) for item in value] if isinstance(value, list) else value
