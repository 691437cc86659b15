import math
from pathlib import Path

import numpy as np
import pytest
import torch

from gradstudy.models.strategies import STRATEGIES
from gradstudy.models.tasks.pairs import TokenPairs
from gradstudy.study.search.space import Setting
from gradstudy.study.spec.study_spec import StudySpec, parse_spec
from gradstudy.study.training.arrays import Slots, make_array, make_workspace
from gradstudy.study.training.checkpoint import Checkpoint, CheckpointError
from gradstudy.study.training.data import load_data

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


@pytest.mark.sampled
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


OF_A_USER = """
import random
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

ROWS = torch.arange(400.0).view(100, 4).sin()


class Model(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.kind = kind
        self.cell = nn.GRU(4, 6, batch_first=True)
        self.norm = nn.BatchNorm1d(6)
        self.drop = nn.Identity() if kind == "alone" else nn.Dropout(0.2)
        self.out = nn.Linear(6, 1)
        self.hidden, self.calls = None, 0

    def forward(self, x):
        h = None
        if self.kind == "carries" and self.training:
            h = None if self.hidden is None else self.hidden.detach()
            self.calls += 1
        _, h = self.cell(x.unsqueeze(1), h)
        if self.kind == "carries" and self.training:
            self.hidden = h
        h = self.drop(self.norm(h[-1]))
        if self.kind == "teaches" and random.random() < 0.5:
            h = h * 0.5
        if self.kind == "alone" and float(h.sum()) > 1e9:
            h = h * 0
        return self.out(h)


def problem(seed, kind="plain"):
    model = Model(kind)
    if kind == "carries":
        batches = DataLoader(TensorDataset(ROWS), 20, shuffle=True, drop_last=True)
    else:
        batches = DataLoader(TensorDataset(ROWS), 30, shuffle=True)
    found = [model, batches, lambda m, b: ((m(b[0]) - b[0].sum(1, keepdim=True)) ** 2).mean(), [[ROWS]]]
    if kind == "own":
        def optimizer(parameters, lr):
            made = torch.optim.AdamW(parameters, lr)
            return made, torch.optim.lr_scheduler.StepLR(made, 7, 0.9)
        found.append(optimizer)
    if kind == "lambda":
        def optimizer(parameters, lr):
            made = torch.optim.SGD(parameters, lr)
            return made, torch.optim.lr_scheduler.LambdaLR(made, lambda step: 1 / (1 + step))
        found.append(optimizer)
    return tuple(found)
"""


def of_a_user(folder: Path, kind: str, **changes: object) -> StudySpec:
    (folder / "kept_models.py").write_text(OF_A_USER)
    values = {"name": "s", "task": "module:kept_models:problem", "task_folder": str(folder), "batch_size": 30}
    space = {"cells": ["module"], "strategies": ["norm", "zclip"], "learning_rate": [0.001, 1]}
    options = {"task_options": {"kind": kind}, "steps": 60, "loss": "mse", "sampler": "random", "space": space}
    return parse_spec({**values, **options, **changes})


def module_slots(spec: StudySpec) -> Slots[str]:
    return Slots[str](make_array(spec, "module", load_data(spec), 4, make_workspace(spec, "cpu")), spec)


def of_module(strategy: str) -> Setting:
    return Setting(cell="module", strategy=strategy, threshold=1.0, learning_rate=0.05)


@pytest.mark.parametrize(
    ("kind", "changes"),
    [("plain", {}), ("plain", {"optimizer": "adam"}), ("teaches", {}), ("carries", {}), ("own", {"optimizer": "own"}),
     ("alone", {"own_draws": False})],
    ids=str,
)  # fmt: skip
def test_a_model_of_the_users_goes_on_too(tmp_path: Path, kind: str, changes: dict[str, object]) -> None:
    spec = of_a_user(tmp_path, kind, **changes)
    whole, first, second = module_slots(spec), module_slots(spec), module_slots(spec)
    for slots in (whole, first):
        slots.admit("beside", of_module("norm"), 1)
        slots.admit("mine", of_module("zclip"), 7)
    expected, losses, _ = ended_of(whole, "mine")
    for _ in range(3):
        first.advance()
    of_both = [first.state(key) for key in ("beside", "mine")]
    assert all(state is not None for state in of_both)
    begun = [
        second.admit(key, of_module(strategy), seed, states=[state])
        for key, strategy, seed, state in (("beside", "norm", 1, of_both[0]), ("mine", "zclip", 7, of_both[1]))
        if state is not None
    ]
    assert begun == [30, 30]
    result, same, _ = ended_of(second, "mine")
    np.testing.assert_array_equal(same, losses)
    assert result == expected


def test_what_draws_from_its_loaders_generator_or_cannot_be_written_begins_anew(tmp_path: Path) -> None:
    draws = of_a_user(tmp_path, "plain", own_draws=True)  # dropout and the loader's order are of one generator
    slots = module_slots(draws)
    slots.admit("mine", of_module("norm"), 7)
    slots.advance()
    state = slots.state("mine")
    assert state is not None
    assert module_slots(draws).admit("mine", of_module("norm"), 7, states=[state]) == 0
    by_lambda = module_slots(of_a_user(tmp_path, "lambda", optimizer="own"))
    by_lambda.admit("mine", of_module("norm"), 7)
    by_lambda.advance()
    kept = by_lambda.state("mine")
    assert kept is None or module_slots(of_a_user(tmp_path, "lambda", optimizer="own")).admit(
        "mine", of_module("norm"), 7, states=[kept]
    ) in (0, 10)
