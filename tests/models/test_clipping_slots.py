"""What trials in neighbouring slots share: nothing."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from thresholds import AFTER_BACKWARD
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from gradstudy.models.clipping import GradientClipper
from gradstudy.models.clipping.memories.parameter_memory import PARAMETER_MEMORIES
from gradstudy.models.clipping.memories.slot_memory import Slots
from gradstudy.models.parameters import ParameterLayout
from gradstudy.models.strategies import STRATEGIES, StrategyError

LAYOUT = ParameterLayout({"weight": ((4, 5), 1), "bias": ((5,), None), "one": ((1,), None)})
SIZE = LAYOUT.size
THRESHOLDS = {name: None if strategy.unit is None else 0.4 for name, strategy in STRATEGIES.items()}
THRESHOLDS["autoclip"] = 30.0


def random_rows(seed, trials):
    flat = torch.zeros(trials, SIZE, dtype=torch.float64)
    for view in LAYOUT.views(flat).values():
        view.normal_(generator=torch.Generator().manual_seed(seed))
    return flat


def new_clipper(names, slots=None, steps=100, dtype=torch.float64):
    clip = GradientClipper(LAYOUT, slots or len(names), steps, dtype, "cpu")
    for slot, name in enumerate(names):
        clip.assign(slot, name, THRESHOLDS[name])
    return clip


@pytest.mark.sampled
@pytest.mark.parametrize("broken", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("name", AFTER_BACKWARD)
def test_a_broken_trial_leaves_its_neighbours_alone(name, broken):
    names = [name, *AFTER_BACKWARD, name]
    clip, reference = new_clipper(names), new_clipper(names)
    for step in range(40):
        gradients, weights = random_rows(step, len(names)), random_rows(-step - 1, len(names))
        expected = gradients.clone()
        gradients[0, 3] = broken
        reference(expected, weights)
        result = clip(gradients, weights)
        torch.testing.assert_close(gradients[1:], expected[1:], rtol=0, atol=0)
        assert not result.grad_norm[0].isfinite()


@pytest.mark.parametrize("name", ["norm", "autoclip", "normalize"])
def test_an_infinite_gradient_becomes_what_clip_grad_norm_makes_of_it(name):
    clip = new_clipper([name])
    gradient = random_rows(0, 1)
    gradient[0, 3] = torch.inf
    parameter = torch.nn.Parameter(torch.zeros(SIZE, dtype=torch.float64))
    parameter.grad = gradient[0].clone()
    torch.nn.utils.clip_grad_norm_(parameter, 0.4)
    clip(gradient, random_rows(1, 1))
    torch.testing.assert_close(gradient[0], parameter.grad, equal_nan=True)
    assert gradient[0, 3].isnan()
    assert (gradient[0, torch.arange(SIZE) != 3] == 0).all()


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["autoclip", "zclip"])
def test_a_broken_step_leaves_no_trace_in_the_state(name, broken):
    clip, reference = new_clipper([name]), new_clipper([name])
    for step in range(80):
        if step % 7 in (0, 3):
            gradient = random_rows(step, 1)
            gradient[0, 0] = broken
            clip(gradient, gradient)
        gradient = random_rows(step, 1) * (1 + step % 5)
        expected = gradient.clone()
        clip(gradient, gradient)
        reference(expected, expected)
        torch.testing.assert_close(gradient, expected, rtol=0, atol=0)


@pytest.mark.parametrize("name", AFTER_BACKWARD)
def test_zero_gradients_stay_zero_and_count_as_unclipped(name):
    clip = new_clipper([name, "norm"])
    for _ in range(30):
        gradients = torch.zeros(2, SIZE, dtype=torch.float64)
        result = clip(gradients, random_rows(0, 2))
        assert (gradients == 0).all()
        assert (result.applied_norm == 0).all()
        assert not result.clipped.any()


def test_unclipped_gradients_are_bit_identical():
    gradients = random_rows(0, 3).float()
    gradients[0, :4] = torch.tensor([-0.0, 1e-45, torch.inf, 3e38])
    before = gradients.clone()
    new_clipper(["none", "norm", "value"], dtype=torch.float32)(gradients, gradients.clone())
    assert (gradients[0].view(torch.int32) == before[0].view(torch.int32)).all()
    assert (gradients[1:] != before[1:]).any()


def test_slots_without_a_trial_are_not_touched():
    clip = new_clipper(["norm", "value", "autoclip"])
    gradients = random_rows(0, 3)
    before = gradients.clone()
    result = clip(gradients[:2], gradients[:2].clone())
    assert len(result.grad_norm) == 2
    torch.testing.assert_close(gradients[2], before[2], rtol=0, atol=0)
    assert (gradients[:2] != before[:2]).any(dim=1).all()


def test_a_call_reads_nothing_back_from_the_device():
    """A meta tensor has no values: whatever would wait for some raises."""
    clip = GradientClipper(LAYOUT, len(AFTER_BACKWARD), 10, torch.float32, "meta")
    for slot, name in enumerate(AFTER_BACKWARD):
        clip.assign(slot, name, THRESHOLDS[name])
    gradients = torch.zeros(len(AFTER_BACKWARD), SIZE, device="meta")
    assert clip(gradients, gradients.clone()).clipped.shape == (len(AFTER_BACKWARD),)
    with NothingFromTheHost():  # after the first call, which tells the device which slots hold what
        clip(gradients, gradients.clone())


class NothingFromTheHost(TorchDispatchMode):
    """Fails where a tensor of the host is made or read: to copy it to a device waits for the device."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves((args, kwargs, result)):
            assert not isinstance(tensor, torch.Tensor) or tensor.device.type == "meta", func
        return result


@pytest.mark.parametrize("name", AFTER_BACKWARD)
def test_a_moved_trial_continues_as_if_it_had_stayed(name):
    moved, stayed = new_clipper(["norm", "agc", name]), new_clipper([name])
    for step in range(60):
        active = 3 if step < 35 else 1
        if step == 35:
            moved.move(2, 0)
        gradient, weight = random_rows(step, 1) * (1 + step % 5), random_rows(-1 - step, 1)
        batch = random_rows(step + 500, active)
        batch[-1] = gradient[0]
        moved(batch, weight.repeat(active, 1))
        stayed(gradient, weight)
        torch.testing.assert_close(batch[-1], gradient[0], rtol=1e-12, atol=0)


@pytest.mark.parametrize("name", AFTER_BACKWARD)
def test_an_assigned_slot_has_no_memory(name):
    used, fresh = new_clipper([name]), new_clipper([name])
    for step in range(30):
        used(random_rows(step, 1) * 100, random_rows(0, 1))
    used.assign(0, name, THRESHOLDS[name])
    for step in range(30):
        gradient = random_rows(step, 1)
        expected = gradient.clone()
        used(gradient, random_rows(0, 1))
        fresh(expected, random_rows(0, 1))
        torch.testing.assert_close(gradient, expected, rtol=0, atol=0)


def test_autoclip_remembers_more_steps_than_it_was_made_for():
    short, long = new_clipper(["autoclip"], steps=3), new_clipper(["autoclip"], steps=100)
    for step in range(40):
        gradient = random_rows(step, 1)
        expected = gradient.clone()
        short(gradient, gradient)
        long(expected, expected)
        torch.testing.assert_close(gradient, expected, rtol=0, atol=0)


def test_a_wrong_assignment_leaves_the_slot_as_it_was():
    clip = new_clipper(["norm"])
    with pytest.raises(StrategyError):
        clip.assign(0, "value", -1.0)
    gradient = random_rows(0, 1)
    clip(gradient, gradient)
    assert float(gradient.norm()) == pytest.approx(0.4, rel=1e-5)


FLOATS = st.floats(-1e6, 1e6, width=32)


@given(st.lists(FLOATS, min_size=25, max_size=25), st.floats(1e-3, 1e3))
def test_bounds_hold_for_any_gradient(entries, threshold):
    names = ["norm", "value", "param_norm", "normalize"]
    clip = GradientClipper(LAYOUT, len(names), 1, torch.float64, "cpu")
    for slot, name in enumerate(names):
        clip.assign(slot, name, threshold)
    gradients = torch.zeros(len(names), SIZE, dtype=torch.float64)
    views = LAYOUT.views(gradients)
    views["weight"][:] = torch.tensor(entries[:20], dtype=torch.float64).view(4, 5)
    views["bias"][:] = torch.tensor(entries[20:], dtype=torch.float64)
    before = gradients.clone()
    result = clip(gradients, torch.zeros_like(gradients))
    at_most = threshold * (1 + 1e-12)
    assert result.applied_norm[0] <= at_most
    assert gradients[1].abs().max() <= threshold
    assert views["weight"][2].norm() <= at_most
    assert views["bias"][2].norm() <= at_most
    assert result.applied_norm[3] <= at_most
    assert ((gradients * before) >= 0).all(), "no sign changes"
    assert (gradients[:3].abs() <= before[:3].abs()).all(), "clipping never enlarges an entry"
    np.testing.assert_allclose(result.applied_norm, gradients.norm(dim=1), rtol=1e-9, atol=1e-300)
    untouched = ~result.clipped
    assert (gradients[untouched] == before[untouched]).all()


@pytest.mark.parametrize("name", PARAMETER_MEMORIES)
def test_a_restored_memory_goes_on_in_the_place_and_the_type_of_its_own(name):
    """A meta tensor stands for one on a GPU: what another device holds cannot be computed with it."""
    saved, gradients = PARAMETER_MEMORIES[name](1, 2, torch.float64, torch.device("cpu")), [torch.ones(1, 3)] * 2
    saved(Slots.of(np.zeros(1, np.int64), torch.device("cpu")), [0, 1], gradients, torch.ones(1), torch.ones(1))
    for device in (torch.device("meta"), torch.device("cpu")):
        restored = PARAMETER_MEMORIES[name](2, 2, torch.float32, device)
        restored.restore(1, saved.state(0))
        places = [(each.device.type, each.dtype, len(each)) for each in restored.kept.values()]
        assert places == [(device.type, torch.float32, 2)] * len(places)
        rows = [gradient.to(device) for gradient in gradients]
        ones = torch.ones(1, device=device)
        restored(Slots.of(np.ones(1, np.int64), device), [0, 1], rows, ones, ones)
