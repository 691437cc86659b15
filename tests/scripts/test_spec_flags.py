import subprocess
import sys
from typing import Any

import pytest
from pydantic import BaseModel

from gradstudy.scripts.spec_flags import FLAGS, spec_values
from gradstudy.study.errors import SpecError
from gradstudy.study.spec.study_spec import StudySpec

NOTHING = {flag.parameter: None for flag in FLAGS}
ONLY_IN_A_FILE = {"name", "task_folder", "file_digest", "model.embedding_size"}
"""Fields without a flag: the name is the argument, two are filled in by a launch; and what nobody asked a flag for."""


def fields(part: type[BaseModel], before: str = "") -> set[str]:
    """The fields of a spec and of its parts, as a table of a file has them."""
    found: set[str] = set()
    for name, field in part.model_fields.items():
        inner = field.annotation
        is_part = isinstance(inner, type) and issubclass(inner, BaseModel)
        found |= fields(inner, f"{before}{name}.") if is_part and inner else {f"{before}{name}"}
    return found


def test_every_flag_has_its_field_and_every_field_its_flag() -> None:
    of_flags = {flag.field for flag in FLAGS if not flag.field.startswith("task_options.")}
    of_spec = {field for field in fields(StudySpec) if not field.startswith("divergence.")}
    assert of_flags | ONLY_IN_A_FILE == of_spec
    assert of_flags.isdisjoint(ONLY_IN_A_FILE)


def test_every_flag_explains_itself_and_none_is_there_twice() -> None:
    assert all(flag.help.endswith(".") for flag in FLAGS)
    assert len({flag.name for flag in FLAGS}) == len(FLAGS)
    fields = [flag.field for flag in FLAGS]
    assert {field for field in fields if fields.count(field) > 1} == {"model.attention"}  # whether, and how


def test_what_was_not_given_is_left_to_the_spec() -> None:
    assert spec_values(NOTHING) == spec_values(NOTHING | {"threshold": [], "vary": []}) == {}


@pytest.mark.parametrize(
    ("given", "values"),
    [
        ({"lr": "1e-3:100"}, {"space": {"learning_rate": (0.001, 100.0)}}),
        ({"cells": "lstm, gru", "strategies": "none"}, {"space": {"cells": ["lstm", "gru"], "strategies": ["none"]}}),
        ({"threshold": ["norm=0.1:1"]}, {"space": {"thresholds": {"norm": (0.1, 1.0)}}}),
        ({"vary": ["layers=1,2"]}, {"space": {"factors": {"layers": ["1", "2"]}}}),
        ({"attention": True, "attend": "bahdanau"}, {"model": {"attention": "bahdanau"}}),
        ({"hidden": 8, "attention": False}, {"model": {"hidden_size": 8, "attention": False}}),
        ({"task_option": ["length=5", "window=1"], "window": 2}, {"task_options": {"length": "5", "window": 2}}),
        ({"seed": 0, "guard": False}, {"seed": 0, "guard": False}),
    ],
)
def test_flags_make_the_values_that_a_file_would_have(given: dict[str, Any], values: dict[str, Any]) -> None:
    assert spec_values(NOTHING | given) == values


def test_all_strategies_are_those_of_the_command_that_lists_them() -> None:
    command = [sys.executable, "-m", "gradstudy.scripts.main", "strategies"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True)
    strategies = spec_values(NOTHING | {"strategies": "all"})["space"]["strategies"]
    assert len(strategies) > 1
    assert all(strategy in listed.stdout for strategy in strategies)


@pytest.mark.parametrize("flag", ["threshold", "vary", "task_option"])
def test_an_assignment_without_a_value_is_named(flag: str) -> None:
    option = f"--{flag.replace('_', '-')}"
    with pytest.raises(SpecError, match=rf"^{option} takes NAME=VALUE such as .*, but got 'foo'$"):
        spec_values(NOTHING | {flag: ["foo"]})
