"""Trials that go on from where another one was, against the same training without an interruption."""

import numpy as np
import pytest
import torch
from thresholds import THRESHOLDS

from gradstudy.models.array import TrainingRun, TrialArray
from gradstudy.models.model_shape import ModelShape
from gradstudy.models.optimizer_settings import OptimizerSettings
from gradstudy.models.schedules import Schedule
from gradstudy.models.strategies import STRATEGIES
from gradstudy.models.tasks.catalogue import load_task
from gradstudy.models.tasks.pairs import TokenPairs
from gradstudy.models.workspace import Workspace

STEP, STEPS = 33, 50


@pytest.fixture(scope="module")
def data() -> TokenPairs:
    return load_task("reverse", max_length=6, symbols=7, examples=300)


def array_of(
    data: TokenPairs,
    runs: list[TrainingRun],
    optimizer: str = "sgd",
    dtype: torch.dtype = torch.float64,
    **shape: float,
) -> TrialArray:
    array = TrialArray(
        ModelShape(cell="lstm", **data.sizes, embedding_size=5, hidden_size=6, **shape),
        data,
        slots=len(runs),
        batch_size=8,
        optimizer=OptimizerSettings(optimizer),
        schedule=Schedule("cosine", STEPS, warmup=5),
        workspace=Workspace(dtype, torch.device("cpu")),
    )
    for run in runs:
        array.admit(run)
    return array


def run_of(strategy: str = "norm", threshold: float | None = 0.3, seed: int = 3) -> TrainingRun:
    return TrainingRun(seed=seed, strategy=strategy, threshold=threshold, learning_rate=0.05)


def branched(source: TrialArray, array: TrialArray, passed_over: int = 0) -> TrialArray:
    source.watch = array.look_on
    source.train(STEP)
    array.branch_from(source, [passed_over] * array.active)
    return array


@pytest.mark.sampled
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("optimizer", ["momentum", "nadam"])
def test_a_branch_without_a_change_goes_on_as_its_trial_does(data: TokenPairs, optimizer: str, strategy: str) -> None:
    run = run_of(strategy, THRESHOLDS[strategy])
    straight = array_of(data, [run], optimizer, dropout=0.2)
    expected = straight.train(STEPS)
    array = branched(array_of(data, [run], optimizer, dropout=0.2), array_of(data, [run] * 3, optimizer, dropout=0.2))
    got = array.train(STEPS - STEP)
    for slot in range(3):
        np.testing.assert_allclose(got.loss[:, slot], expected.loss[STEP:, 0], rtol=1e-12)
        np.testing.assert_allclose(got.applied_norm[:, slot], expected.applied_norm[STEP:, 0], rtol=1e-12)
    torch.testing.assert_close(array.parameters[2], straight.parameters[0], rtol=1e-10, atol=1e-12)


def test_a_strategy_that_a_branch_changes_to_knows_the_norms_that_its_trial_had(data: TokenPairs) -> None:
    source = array_of(data, [run_of("none", None)])
    array = branched(source, array_of(data, [run_of("autoclip", 100.0)]))
    straight = array_of(data, [run_of("none", None)]).train(STEP + 1)
    got = array.train(1)
    # At the 100th percentile it clips at the largest norm so far: not at all, but where this one is the largest.
    assert got.applied_norm[0, 0] == pytest.approx(min(straight.grad_norm.max(), got.grad_norm[0, 0]))
    fresh = branched(array_of(data, [run_of("none", None)]), array_of(data, [run_of("autoclip", 1.0)])).train(1)
    assert fresh.applied_norm[0, 0] == pytest.approx(np.percentile(straight.grad_norm, 1), rel=1e-5)


def test_a_branch_of_another_seed_meets_the_batches_of_that_seed_with_the_parameters_of_its_trial(
    data: TokenPairs,
) -> None:
    own, other = run_of("none", None), run_of("none", None, seed=4)
    source = array_of(data, [own])
    array = branched(source, array_of(data, [own, other]))
    losses = array.train(1).loss[0]
    expected = array_of(data, [other])
    expected.parameters[0] = source.parameters[0]
    expected._step[0] = STEP
    assert losses[1] == pytest.approx(expected.train(1).loss[0, 0], rel=1e-12)
    assert losses[1] != pytest.approx(losses[0], rel=1e-6)


def test_batches_that_are_passed_over_are_not_trained_on(data: TokenPairs) -> None:
    source, array = array_of(data, [run_of()]), array_of(data, [run_of()])
    array.branch_from(source, [7])
    first = array.train(1).loss[0, 0]
    assert first == pytest.approx(array_of(data, [run_of()]).initial_losses(0)[7], rel=1e-12)


def test_a_branch_in_float16_goes_on_with_the_scale_of_its_trial(data: TokenPairs) -> None:
    source, array = (array_of(data, [run_of()], dtype=torch.float16) for _ in range(2))
    assert source._scaling is not None
    assert array._scaling is not None
    source._scaling.scale[0] = 2.0**10
    array.branch_from(source, [0])
    assert array._scaling.scale[0] == 2.0**10


def test_what_looks_on_under_a_guard_forgets_a_loss_that_is_not_finite(data: TokenPairs) -> None:
    array = array_of(data, [run_of("skip_z", 2.0)] * 2)
    array.guard = True
    gradients, parameters = torch.ones(1, array.model.layout.size, dtype=torch.float64), array.parameters[:1]
    for loss in (1.0, float("inf"), 2.0):
        array.look_on(array.model.layout, gradients, parameters, torch.tensor([loss], dtype=torch.float64))
    memory = array._clipper._norm_memories["skip_z"]
    assert [int(memory.state(slot)["count"]) for slot in range(2)] == [2, 2]
