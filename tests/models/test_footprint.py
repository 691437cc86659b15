"""The memory that is predicted for a trial, beside what an array really holds."""

import pytest
import torch

from gradstudy.models.array import TrainingRun, TrialArray
from gradstudy.models.cell_names import RECURRENT_CELLS
from gradstudy.models.footprint import bytes_per_trial
from gradstudy.models.model_shape import ModelShape
from gradstudy.models.optimizer_settings import OptimizerSettings
from gradstudy.models.schedules import Schedule
from gradstudy.models.tasks.catalogue import load_task
from gradstudy.models.workspace import Workspace

SLOTS = 8


def make_array(shape, data):
    workspace = Workspace(torch.float32, torch.device("cpu"))
    array = TrialArray(
        shape,
        data,
        slots=SLOTS,
        batch_size=16,
        optimizer=OptimizerSettings("adam"),
        schedule=Schedule("constant", 5),
        validation_pairs=16,
        workspace=workspace,
    )
    for seed in range(SLOTS):
        array.admit(TrainingRun(seed=seed, strategy="norm", threshold=1.0, learning_rate=0.01))
    return array


def trained(array):
    """Train a step; the bytes that autograd keeps for the backward pass beside workspace and parameters."""
    kept = {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        array.train(1)
    ours = [buffer.untyped_storage().data_ptr() for buffer in array.workspace._buffers.values()]
    return sum(size for place, size in kept.items() if place not in [*ours, array.parameters.data_ptr()])


def held_and_predicted(array, data, shape):
    """Bytes of one trial; parameters come with gradients and two states of Adam."""
    kept = trained(array)
    held = (kept + array.workspace.nbytes + 4 * array.parameters.nbytes) / SLOTS
    predicted = bytes_per_trial(
        shape,
        array.model.layout,
        batch_size=16,
        source_steps=data.source_steps,
        target_steps=data.target_steps,
        optimizer="adam",
        itemsize=4,
    )
    return held, predicted


@pytest.mark.parametrize("cell", RECURRENT_CELLS)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"layers": 2},
        {"attention": "dot"},
        {"attention": "bahdanau"},
        {"bidirectional": True, "layers": 2},
        {"bidirectional": True, "attention": "dot"},
        {"hidden_size": 96, "embedding_size": 96},
    ],
)
@pytest.mark.parametrize("length", [4, 20])
def test_buffers_and_parameters_are_within_what_was_predicted(cell, options, length):
    data = load_task("copy", max_length=length, min_length=length, symbols=30, examples=400)
    shape = ModelShape(
        cell=cell,
        source_vocabulary=len(data.source_vocabulary),
        target_vocabulary=len(data.target_vocabulary),
        **({"embedding_size": 32, "hidden_size": 32} | options),
    )
    array = make_array(shape, data)
    held, predicted = held_and_predicted(array, data, shape)
    assert held < predicted < 3 * held


@pytest.mark.parametrize("cell", RECURRENT_CELLS)
@pytest.mark.parametrize("task", ["sunspots", "adding"])
def test_models_of_real_values_are_within_what_was_predicted(cell, task):
    data = load_task(task)
    shape = ModelShape(
        cell=cell, **data.sizes, embedding_size=1, hidden_size=32, layers=2, decoder=data.decoder, loss="mse"
    )
    held, predicted = held_and_predicted(make_array(shape, data), data, shape)
    assert held < predicted < 3 * held
