"""What the code of a model and its loss can see in Python, beside what the module carries."""

import logging
from itertools import count

import numpy as np
import pytest
from torch import nn

from gradstudy.models.user_module.checks.seen_values import changed_value, seen_values

CALLS = {"all": 0}
LOGGER = logging.getLogger("of a model")
GENERATOR = np.random.default_rng(0)


class Base(nn.Module):
    calls = 0

    def training_step(self, batch):
        CALLS["all"] += 1

    def counted(self):
        type(self).calls += 1


class Model(Base):
    def forward(self, x):
        LOGGER.debug("called")
        return x


class Object:
    def __init__(self):
        self.drawn = {"calls": 0}


def plain(model, batch):
    return model(batch)


def closed_over():
    step, held = 0, Object()

    def loss(model, batch):
        nonlocal step
        if batch:
            step += 1
        else:
            held.drawn["calls"] += 1

    return loss


def drawing(model, batch):
    return GENERATOR.random()


LOSS = closed_over()


@pytest.mark.parametrize(
    ("loss", "act", "name"),
    [
        (plain, lambda model: model(1), None),
        (plain, lambda model: model.training_step(1), "CALLS['all']"),
        (plain, lambda model: model.counted(), "calls"),
        (LOSS, lambda model: LOSS(model, True), "step"),
        (LOSS, lambda model: LOSS(model, False), "drawn['calls']"),
        (drawing, lambda model: drawing(model, 1), "GENERATOR"),
    ],
)
def test_what_a_call_changes_in_python_is_named(loss, act, name):
    model = Model()
    before = seen_values(model, loss)
    assert changed_value(before, seen_values(model, loss)) is None
    act(model)
    changed = changed_value(before, seen_values(model, loss))
    assert changed is None if name is None else name in str(changed)


def test_large_containers_are_not_looked_at():
    model = Model()
    model.vocabulary = dict(zip(map(str, range(1000)), count(), strict=False))
    before = seen_values(model, plain)
    model.vocabulary["1"] = 7
    assert changed_value(before, seen_values(model, plain)) is None
