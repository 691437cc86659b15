"""Loss scaling beside torch's GradScaler, each trial by itself."""

import math

import numpy as np
import pytest
import torch

from gradstudy.models.array import TrainingRun, TrialArray
from gradstudy.models.loss_scaling import LossScaling
from gradstudy.models.model_shape import ModelShape
from gradstudy.models.optimizer_settings import OptimizerSettings
from gradstudy.models.schedules import Schedule
from gradstudy.models.tasks.catalogue import load_task
from gradstudy.models.workspace import Workspace

CPU = torch.device("cpu")


class GradScalerLoop:
    """One parameter under torch's scaler, whose gradient is what it is told."""

    def __init__(self, interval: int) -> None:
        self.scaler = torch.amp.GradScaler("cpu", growth_interval=interval)
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.optimizer = torch.optim.SGD([self.weight], lr=1.0)

    def step(self, gradient: float) -> float:
        """Take a step; the scale after it."""
        self.optimizer.zero_grad()
        self.scaler.scale(self.weight.sum() * gradient).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return self.scaler.get_scale()


def test_each_trials_scale_is_that_of_torchs_grad_scaler():
    generator = np.random.default_rng(0)
    gradients = np.where(generator.random((60, 4)) < [0.0, 0.1, 0.3, 1.0], math.inf, 1.0)
    loops = [GradScalerLoop(interval=5) for _ in range(4)]
    scaling = LossScaling(4, CPU, growth_interval=5)
    for step in gradients:
        expected = [loop.step(float(gradient)) for loop, gradient in zip(loops, step, strict=True)]
        recorded = torch.ones(4, 4)
        recorded[1] = torch.from_numpy(step)
        scaling.follow(recorded)
        assert scaling.scale.tolist() == expected
    taken = [-loop.weight.item() for loop in loops]
    assert taken == np.isfinite(gradients).sum(0).tolist()


def test_gradients_of_scaled_losses_are_those_of_the_losses():
    scaling = LossScaling(3, CPU)
    scaling.follow(torch.tensor([[1.0, 1.0], [1.0, math.inf], [1.0, 1.0], [0.0, 0.0]]))
    weights = torch.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    (gradients,) = torch.autograd.grad(scaling.scaled(weights.square().sum(1)).sum(), [weights])
    scaling.unscale(gradients)
    assert torch.equal(gradients, 2 * weights.detach())


def test_an_overflow_is_only_excused_where_a_smaller_scale_may_mend_it():
    scaling = LossScaling(3, CPU, first_scale=2.0)
    recorded = torch.tensor([[1.0, math.nan, 1.0], [math.inf, math.nan, 3.0], [0.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
    assert scaling.follow(recorded)[1].tolist() == [0.0, pytest.approx(math.nan, nan_ok=True), 3.0]
    assert scaling.follow(recorded)[1, 0] == math.inf  # the scale was 1


def test_a_trial_takes_its_scale_along():
    scaling = LossScaling(2, CPU, growth_interval=3)
    for _ in range(2):
        scaling.follow(torch.tensor([[1.0, 1.0], [math.inf, 1.0], [1.0, 1.0], [0.0, 0.0]]))
    scaling.move(1, 0)
    scaling.reset(1)
    scaling.follow(torch.ones(4, 2))
    assert scaling.scale.tolist() == [2.0**17, 2.0**16]


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize(("strategy", "threshold"), [("norm", 1.0), ("recurrent", 0.01), ("recurrent_value", 1e-3)])
def test_float16_follows_float32_within_its_precision(cell, strategy, threshold):
    data = load_task("copy", max_length=6, symbols=8, examples=300)

    def trained(dtype):
        shape = ModelShape(cell=cell, **data.sizes, embedding_size=8, hidden_size=8, attention="dot")
        array = TrialArray(
            shape,
            data,
            slots=2,
            batch_size=8,
            optimizer=OptimizerSettings(),
            schedule=Schedule("constant", 20),
            workspace=Workspace(dtype, CPU),
        )
        for seed in range(2):
            array.admit(TrainingRun(seed=seed, strategy=strategy, threshold=threshold, learning_rate=0.5))
        return array, array.train(20)

    (_, expected), (array, found) = trained(torch.float32), trained(torch.float16)
    assert array.parameters.dtype == torch.float32
    np.testing.assert_allclose(found.loss, expected.loss, rtol=0.01)
    np.testing.assert_allclose(found.grad_norm, expected.grad_norm, rtol=0.05)
    np.testing.assert_array_equal(found.clipped, expected.clipped)
    assert not np.array_equal(found.loss, expected.loss)


def test_a_step_that_overflows_leaves_the_parameters_and_halves_the_scale():
    data = load_task("sunspots")
    shape = ModelShape(cell="gru", **data.sizes, embedding_size=1, hidden_size=8, loss="mse")
    array = TrialArray(
        shape,
        data,
        slots=1,
        batch_size=8,
        optimizer=OptimizerSettings("adam"),
        schedule=Schedule("constant", 20),
        workspace=Workspace(torch.float16, CPU),
    )
    array.admit(TrainingRun(seed=0, strategy="none", threshold=None, learning_rate=0.01))
    assert array._scaling is not None
    array._scaling.scale.fill_(2.0**40)
    before = array.parameters.clone()
    telemetry = array.train(1)
    assert torch.equal(array.parameters, before)
    assert array._scaling.scale.tolist() == [2.0**39]
    assert (telemetry.grad_norm.item(), telemetry.applied_norm.item()) == (0, 0)
    assert math.isfinite(telemetry.loss.item())
