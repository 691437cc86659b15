import math

import numpy as np
import pytest
import torch

from gradstudy.models.strategies import STRATEGIES
from gradstudy.models.tasks.pairs import TokenPairs
from gradstudy.study.search.space import Setting
from gradstudy.study.spec.study_spec import StudySpec, parse_spec
from gradstudy.study.training.arrays import Slots, make_array, make_workspace
from gradstudy.study.training.checkpoint import Checkpoint, CheckpointError

THRESHOLDS = {"autoclip": 50.0, "zclip": 1.0, "stable_spam": 0.5, "skip_z": 3.0, "adagc": 1.05, "agc": 0.02}


def setting_of(strategy: str, learning_rate: float = 0.3) -> Setting:
    takes_one = STRATEGIES[strategy].low is not None
    threshold = THRESHOLDS.get(strategy, 1.0) if takes_one else None
    return Setting(cell="gru", strategy=strategy, threshold=threshold, learning_rate=learning_rate)


def slots_of(spec: StudySpec, data: TokenPairs, slots: int = 4) -> Slots[str]:
    return Slots[str](make_array(spec, "gru", data, slots, make_workspace(spec, "cpu")), spec)


def long(spec: StudySpec, **changes: object) -> StudySpec:
    return parse_spec(spec.model_dump(mode="json") | {"steps": 90, "sampler": "random"} | changes)


def ended_of(slots: Slots[str], key: str) -> tuple[object, np.ndarray, float]:
    while True:
        for ended in slots.advance():
            if ended.key == key:
                result = {name: value for name, value in ended.result.columns().items() if name != "seconds"}
                return result, ended.trial.telemetry().loss, ended.trial.seconds


def interrupted(spec: StudySpec, data: TokenPairs, setting: Setting) -> tuple[Slots[str], int]:
    """A trial that goes on in another array, beside others, after 40 steps in a first one."""
    first, second = slots_of(spec, data), slots_of(spec, data)
    first.admit("beside", setting_of("norm"), 1)
    first.admit("mine", setting, 7)
    for _ in range(4):
        first.advance()
    state = first.state("mine")
    assert state is not None
    second.admit("other", setting, 2)  # as many as there were: products of other numbers may be rounded otherwise
    return second, second.admit("mine", setting, 7, states=[state])


@pytest.mark.parametrize("strategy", list(STRATEGIES))
def test_a_trial_goes_on_as_if_it_had_not_been_interrupted(spec: StudySpec, data: TokenPairs, strategy: str) -> None:
    spec, setting = long(spec), setting_of(strategy)
    whole = slots_of(spec, data)
    whole.admit("beside", setting_of("norm"), 1)
    whole.admit("mine", setting, 7)
    expected, losses, _ = ended_of(whole, "mine")
    goes_on, step = interrupted(spec, data, setting)
    assert step == 40
    result, same, seconds = ended_of(goes_on, "mine")
    np.testing.assert_array_equal(same, losses)
    assert result == expected
    assert seconds > 0


@pytest.mark.parametrize(
    "changes",
    [{"optimizer": "momentum"}, {"optimizer": "adam"}, {"optimizer": "nadam", "schedule": "cosine", "warmup": 10},
     {"optimizer": "radam"}, {"optimizer": "adadelta"}, {"precision": "bfloat16"}, {"guard": True},
     {"model": {"hidden_size": 8, "dropout": 0.2}}],
    ids=str,
)  # fmt: skip
def test_optimizers_schedules_precisions_and_dropout_go_on_too(
    spec: StudySpec, data: TokenPairs, changes: dict[str, object]
) -> None:
    spec, setting = long(spec, **changes), setting_of("norm", 0.01)
    whole = slots_of(spec, data)
    whole.admit("beside", setting_of("norm"), 1)
    whole.admit("mine", setting, 7)
    expected, losses, _ = ended_of(whole, "mine")
    result, same, _ = ended_of(interrupted(spec, data, setting)[0], "mine")
    np.testing.assert_array_equal(same, losses)
    assert result == expected


def test_a_state_that_cannot_be_read_is_passed_over_and_without_any_the_trial_begins_anew(
    spec: StudySpec, data: TokenPairs
) -> None:
    spec = long(spec)
    slots = slots_of(spec, data)
    slots.admit("mine", SETTING, 7)
    slots.advance()
    good = slots.state("mine")
    assert good is not None
    larger = parse_spec(spec.model_dump(mode="json") | {"model": {"hidden_size": 9}})
    others = slots_of(larger, data)
    assert others.admit("mine", SETTING, 7, states=[good, b"", good[:-9], b"\0" * 100]) == 0
    assert others.array.active == 1
    again = slots_of(spec, data)
    assert again.admit("mine", SETTING, 7, states=[b"nothing", good]) == 10


SETTING = setting_of("norm")


@pytest.mark.parametrize("state", [b"", b"\0" * 8, b"{}", b"\xff" * 64])
def test_what_is_no_state_says_so(state: bytes) -> None:
    with pytest.raises(CheckpointError, match="cannot be read"):
        Checkpoint(state)


def test_a_state_of_another_format_says_which(spec: StudySpec, data: TokenPairs) -> None:
    slots = slots_of(long(spec), data)
    slots.admit("mine", SETTING, 7)
    state = slots.state("mine")
    assert state is not None
    with pytest.raises(CheckpointError, match="has the format 9, and this version knows 1"):
        Checkpoint(state.replace(b'"format": 1', b'"format": 9'))


def test_a_state_holds_what_was_lost_before_it(spec: StudySpec, data: TokenPairs) -> None:
    slots = slots_of(long(spec), data)
    slots.admit("mine", SETTING, 7)
    state = slots.state("mine")
    assert state is not None
    assert torch.equal(Checkpoint(state).slot["parameters"], slots.array.state(0)["parameters"])  # type: ignore[index]
    assert not math.isnan(ended_of(slots, "mine")[2])
