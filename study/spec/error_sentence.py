"""What is wrong with a spec, in one sentence."""

from typing import Any

from pydantic import BaseModel, ValidationError

from gradstudy.models.tasks.errors import TaskError


def error_sentence(error: ValidationError, spec: type[BaseModel], what: str = "a spec") -> str:
    """What is wrong with the first field that is wrong of a spec of this class, or of something else of a class."""
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        accepted = ", ".join(_fields_beside(first["loc"], spec))
        return f"there is no field {field!r} in {what}; accepted here are {accepted}"
    if first["type"] == "missing":
        return f"{field} is missing"
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, TaskError):  # it names task and option
        return str(cause)
    if first["type"] == "value_error":
        return f"{field} {first['msg'].removeprefix('Value error, ')}".lstrip()
    message = first["msg"].removeprefix("Input ")
    return f"{field} {message[0].lower()}{message[1:]}, but got {first['input']!r}"


def _fields_beside(place: tuple[int | str, ...], spec: type[BaseModel]) -> list[str]:
    """The fields of the part of a spec that ``place`` is in."""
    part: Any = spec
    for name in place[:-1]:
        part = part.model_fields[name].annotation
    return list(part.model_fields)
