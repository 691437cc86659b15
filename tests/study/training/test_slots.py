"""The number of slots that is chosen for a study."""

import pytest

from gradstudy.models.tasks.pairs import TokenPairs
from gradstudy.study.spec.study_spec import StudySpec
from gradstudy.study.training.slots import CPU_BYTES, CPU_SLOTS, choose_slots, trial_bytes


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
