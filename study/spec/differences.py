"""In what two specs differ."""

from collections.abc import Collection
from typing import Any

from gradstudy.study.spec.study_spec import StudySpec

_NOT_COMPARED = {"task_folder"}
"""Where a study is resumed from does not make it another."""


def differences(stored: StudySpec, given: StudySpec) -> list[str]:
    """One line for each field in which two specs differ: ``field: stored value -> given value``."""
    return [f"{field}: {old} -> {new}" for field, old, new in differing("", *comparable(stored, given, _NOT_COMPARED))]


def comparable(a: StudySpec, b: StudySpec, without: Collection[str] = ()) -> list[dict[str, Any]]:
    """Two specs as JSON; where they begin with what different studies found, these by their names alone."""
    dumped = [spec.model_dump(mode="json", exclude=set(without)) for spec in (a, b)]
    studies = [spec.like and spec.like.study for spec in (a, b)]
    if studies[0] != studies[1]:
        return [{**dump, "like": study} for dump, study in zip(dumped, studies, strict=True)]
    return dumped


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
