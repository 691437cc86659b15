"""A ``scaler.unscale_(optimizer)`` that was forgotten before clipping is noticed, and nothing else is."""

import itertools
import pickle
import warnings

import pytest
import torch
from torch import nn

from gradstudy.models.clipping import Clipper, clip_gradients, training_loop
from gradstudy.models.clipping.unscale_check import UnscaleCheck


def losses(clip, *, unscale, steps=4, set_to_none=True, overflows=0, scaled=True):
    """A loop with a scaler, as in the documents of ``torch.amp``."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.01)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**16, enabled=scaled)
    for step in range(steps):
        optimizer.zero_grad(set_to_none=set_to_none)
        loss = model(torch.randn(5, 3)).square().mean() * (torch.inf if step < overflows else 1)
        scaler.scale(loss).backward()
        if unscale:
            scaler.unscale_(optimizer)
        clip(model.parameters())
        scaler.step(optimizer)
        scaler.update()


@pytest.mark.parametrize("name", ["norm", "value", "none", "adagc"])
@pytest.mark.parametrize("overflows", [0, 2])
def test_it_is_noticed_once_with_the_way_out(name, overflows):
    threshold = None if name == "none" else 1.0
    with pytest.warns(UserWarning, match=r"divided by \d+ after .* scaler\.unscale_\(optimizer\)") as seen:
        losses(Clipper(name, threshold), unscale=False, steps=6, overflows=overflows)
    assert len(seen) == 1
    assert seen[0].filename == __file__


@pytest.fixture
def check_of_the_function(monkeypatch):
    monkeypatch.setattr(training_loop, "_UNSCALED", UnscaleCheck())


@pytest.mark.usefixtures("check_of_the_function")
@pytest.mark.parametrize("thresholds", [itertools.repeat(0.123), itertools.count(1.0, 0.01)], ids=["same", "rising"])
def test_the_function_notices_it_too(thresholds):
    with pytest.warns(UserWarning, match="scaler") as seen:
        losses(lambda parameters: clip_gradients(parameters, "norm", next(thresholds)), unscale=False, steps=6)
    assert len(seen) == 1


@pytest.mark.usefixtures("check_of_the_function")
def test_the_function_looks_at_a_few_steps_only_whatever_the_threshold():
    kept, thresholds = [], itertools.count(1.0, 0.01)

    def clip(parameters):
        clip_gradients(parameters, "norm", next(thresholds))
        kept.append(training_loop._UNSCALED._gradient is not None)

    losses(clip, unscale=True, steps=15)
    assert kept == [True] + [False] * 14


@pytest.mark.parametrize("steps", [1, 5])
def test_a_clipper_that_was_used_can_be_pickled(steps):
    clip = Clipper("zclip", 2.0)
    losses(clip, unscale=True, steps=steps)
    copied = pickle.loads(pickle.dumps(clip))
    torch.testing.assert_close(copied.state_dict()["memory"], clip.state_dict()["memory"])
    losses(copied, unscale=True, steps=2)


@pytest.mark.parametrize(
    "options", [{"unscale": True}, {"unscale": True, "overflows": 2}, {"unscale": False, "scaled": False}]
)
@pytest.mark.parametrize("set_to_none", [True, False])
@pytest.mark.parametrize("name", ["norm", "skip_norm"])
def test_a_loop_that_is_right_is_not_warned(options, set_to_none, name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        losses(Clipper(name, 0.5), set_to_none=set_to_none, steps=15, **options)
