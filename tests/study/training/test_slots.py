"""The number of slots that is chosen for a study, and what is said of its data."""

from pathlib import Path

import pytest

from gradstudy.models.tasks.pairs import TokenPairs
from gradstudy.study.spec.study_spec import StudySpec, parse_spec
from gradstudy.study.training.data import load_data
from gradstudy.study.training.slots import (
    CPU_BYTES,
    CPU_SLOTS,
    CPU_SLOTS_TOGETHER,
    begin_together,
    choose_slots,
    described,
    trial_bytes,
)

OF_A_USER = """
import random

import torch

tried = []


def problem(seed, batch_size, how="plain"):
    tried.append((how, batch_size))
    model = torch.nn.Linear(3, 1)

    def loss(model, x):
        factor = 2 if how == "decides" and random.random() < 0.5 else 1
        made = (model(x) ** 2).mean() * factor
        return made if how != "reads" or batch_size < 4 or made.item() > 0 else made

    return model, [torch.ones(batch_size, 3)] * 20, loss
"""


def with_model(spec: StudySpec, **changes: object) -> StudySpec:
    return spec.model_copy(update={"model": spec.model.model_copy(update=changes), "trials": 1000})


def test_small_models_get_all_the_slots_that_a_core_gains_from(spec: StudySpec, data: TokenPairs) -> None:
    assert choose_slots(with_model(spec), data, "cpu") == CPU_SLOTS


def test_a_study_has_no_more_slots_than_trials(spec: StudySpec, data: TokenPairs) -> None:
    assert choose_slots(spec.model_copy(update={"trials": 3}), data, "cpu") == 3


@pytest.mark.parametrize("hidden", [1024, 2048, 4096])
def test_large_models_get_as_many_as_fit_and_at_least_one(spec: StudySpec, data: TokenPairs, hidden: int) -> None:
    large = with_model(spec, hidden_size=hidden)
    slots = choose_slots(large, data, "cpu")
    assert 1 <= slots < CPU_SLOTS
    assert slots == 1 or slots * trial_bytes(large, data) <= CPU_BYTES


def of_a_user(folder: Path, name: str, **factors: list[object]) -> StudySpec:
    (folder / f"{name}.py").write_text(OF_A_USER)
    space = {"factors": factors, "cells": ["module"]}
    values = {"name": "s", "task": f"module:{name}:problem", "task_folder": str(folder), "batch_size": 2}
    return parse_spec({**values, "trials": 1000, "space": space})


def test_whatever_a_study_varies_counts_for_how_a_users_module_is_trained(tmp_path: Path) -> None:
    plain = of_a_user(tmp_path, "plain_or_deciding", how=["plain", "decides"])
    data = load_data(plain)
    assert begin_together(plain, data, "cpu", 16) == 16
    assert choose_slots(plain, data, "cpu") == CPU_SLOTS_TOGETHER
    few = plain.model_copy(update={"trials": 100})
    assert choose_slots(few, data, "cpu", workers=2) == 25  # 50 for each worker in two companies
    first, second = described(plain, data, "cpu")
    assert "with how plain" in first
    assert "random draws" not in first
    assert "with how decides" in second
    assert "random draws" in second
    batch_sizes = of_a_user(tmp_path, "reading", how=["reads"], batch_size=[2, 4])
    data = load_data(batch_sizes)
    assert choose_slots(batch_sizes, data, "cpu") == 1
    first, second = described(batch_sizes, data, "cpu")
    assert "with batch_size 2, how reads" in first
    assert "many at a time" in first
    assert "with batch_size 4, how reads" in second
    assert "one at a time" in second


def test_what_was_tried_is_not_tried_again_where_it_is_loaded_again(tmp_path: Path) -> None:
    spec = of_a_user(tmp_path, "tried_once", how=["plain", "decides"], batch_size=[2, 4])
    choose_slots(spec, load_data(spec), "cpu")
    tried = __import__("tried_once").tried
    seen = tried.copy()
    assert set(seen) == {(how, size) for how in ("plain", "decides") for size in (2, 4)}
    described(spec, load_data(spec), "cpu")
    assert tried == seen
