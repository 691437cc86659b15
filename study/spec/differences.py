"""In what two specs differ."""

from typing import Any

from gradstudy.study.spec.study_spec import StudySpec

_NOT_COMPARED = {"task_folder"}
"""Where a study is resumed from does not make it another."""


def differences(stored: StudySpec, given: StudySpec) -> list[str]:
    """One line for each field in which two specs differ: ``field: stored value -> given value``."""
    specs = (stored, given)
    return [
        f"{field}: {old} -> {new}"
        for field, old, new in differing("", *(spec.model_dump(mode="json", exclude=_NOT_COMPARED) for spec in specs))
    ]


def differing(prefix: str, old: dict[str, Any], new: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    """Each field in which two specs as JSON differ: its name after ``prefix``, the old value, the new value."""
    rows = []
    for key in [*old, *(key for key in new if key not in old)]:
        before, after = old.get(key), new.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            rows += differing(f"{prefix}{key}.", before, after)
        elif before != after:
            rows.append((f"{prefix}{key}", before, after))
    return rows
