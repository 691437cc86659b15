"""Schedules beside torch's own schedulers, made by the code that reports give to paste."""

import numpy as np
import pytest
import torch

from gradstudy.models.schedule_names import SCHEDULES
from gradstudy.models.schedules import Schedule

STEPS = 40


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("warmup", [0, 2, 7])
def test_each_step_has_the_rate_of_torchs_scheduler(name, warmup):
    schedule = Schedule(name, STEPS, warmup, halve_every=9)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.8)
    names = {"torch": torch, "optimizer": optimizer}
    exec(schedule.code(), names)
    rates = []
    for _ in range(STEPS):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if not schedule.is_constant:
            names["schedule"].step()
    np.testing.assert_allclose(0.8 * schedule.factors(), rates, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", SCHEDULES)
def test_rates_rise_to_the_highest_one_and_fall_from_there(name):
    factors = Schedule(name, STEPS, warmup=10, halve_every=9).factors()
    assert factors.max() == factors[9] == factors[10] == 1
    assert (np.diff(factors[:10]) > 0).all()
    assert (np.diff(factors[10:]) <= 0).all()
    assert (factors > 0).all()


def test_a_constant_schedule_needs_no_code():
    assert Schedule("constant", STEPS).code() == ""
