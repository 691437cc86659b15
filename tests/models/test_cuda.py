"""The array on a GPU: the numbers of the CPU, and no waiting for the device within a block of steps."""

import numpy as np
import pytest
import torch

from gradstudy.models.array import TrainingRun, TrialArray
from gradstudy.models.cell_names import RECURRENT_CELLS
from gradstudy.models.model_shape import ModelShape
from gradstudy.models.optimizer_settings import OptimizerSettings
from gradstudy.models.schedules import Schedule
from gradstudy.models.strategies import STRATEGIES
from gradstudy.models.tasks.catalogue import load_task
from gradstudy.models.workspace import Workspace

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


OPTIONS = {"copy": {"max_length": 8, "symbols": 12, "examples": 500}, "sunspots": {}}


EVERY_ONE = tuple(STRATEGIES.values())
WITHOUT_WAITING = [strategy for strategy in EVERY_ONE if strategy.name != "spectral"]
"""The decomposition of ``spectral`` tells the host whether it converged."""


def array_on(device, cell, dtype=torch.float32, task="copy", strategies=EVERY_ONE, **model):
    data = load_task(task, **OPTIONS[task])
    shape = ModelShape(
        cell=cell,
        **data.sizes,
        loss="cross_entropy" if task == "copy" else "mse",
        embedding_size=16,
        hidden_size=16,
        layers=2,
        dropout=0.1,
        **({"attention": "dot"} | model),
    )
    array = TrialArray(
        shape,
        data,
        slots=len(strategies),
        batch_size=8,
        optimizer=OptimizerSettings(),
        schedule=Schedule("constant", 40),
        workspace=Workspace(dtype, torch.device(device)),
    )
    for seed, strategy in enumerate(strategies):
        threshold = None if strategy.low is None else (strategy.low * strategy.high) ** 0.5
        array.admit(TrainingRun(seed=seed, strategy=strategy.name, threshold=threshold, learning_rate=0.05))
    return array


@pytest.mark.parametrize("task", OPTIONS)
@pytest.mark.parametrize("cell", RECURRENT_CELLS)
def test_a_gpu_trains_as_the_cpu_does(cell, task):
    expected, found = array_on("cpu", cell, task=task).train(10), array_on("cuda", cell, task=task).train(10)
    np.testing.assert_allclose(found.loss, expected.loss, rtol=1e-3)
    np.testing.assert_allclose(found.grad_norm, expected.grad_norm, rtol=2e-2)


@pytest.mark.parametrize("task", OPTIONS)
@pytest.mark.parametrize("cell", RECURRENT_CELLS)
def test_nothing_waits_for_the_gpu_within_a_block(cell, task):
    array = array_on("cuda", cell, task=task, strategies=WITHOUT_WAITING)
    array.train(2)  # what is made on first use may wait
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(3):
            array._train_step()
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_bfloat16_trains_on_a_gpu():
    telemetry = array_on("cuda", "lstm", torch.bfloat16).train(10)
    assert np.isfinite(telemetry.loss).all()


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_float16_trains_as_float32_does_and_waits_for_nothing(cell):
    expected, found = array_on("cuda", cell).train(10), array_on("cuda", cell, torch.float16).train(10)
    np.testing.assert_allclose(found.loss, expected.loss, rtol=0.02)
    array = array_on("cuda", cell, torch.float16, strategies=WITHOUT_WAITING)
    array.train(2)
    torch.cuda.set_sync_debug_mode("error")
    try:
        array._train_step()
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("attention", ["dot", "bahdanau"])
def test_a_bidirectional_encoder_trains_on_a_gpu_as_on_the_cpu(attention):
    expected, found = (
        array_on(device, "lstm", bidirectional=True, attention=attention).train(10) for device in ("cpu", "cuda")
    )
    np.testing.assert_allclose(found.loss, expected.loss, rtol=1e-3)
