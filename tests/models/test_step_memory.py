"""What a training step has made goes when the step ends: nothing waits for the garbage collector, and fills memory."""

import gc

import pytest
import torch
from module_arrays import module_array
from peoples_models import PROBLEMS

from gradstudy.models.array import TrainingRun, TrialArray
from gradstudy.models.model_shape import ModelShape
from gradstudy.models.optimizer_settings import OptimizerSettings
from gradstudy.models.schedules import Schedule
from gradstudy.models.tasks.catalogue import load_task
from gradstudy.models.user_module.batching import try_batching
from gradstudy.models.user_module.loading import UserModule
from gradstudy.models.workspace import Workspace

CPU = torch.device("cpu")
KINDS = (
    *(
        "notebook_lstm",
        "attention_tutorial",
        "notebook_packed",
        "word_language_model",
        "names_generation",
        "speech_ctc",
    ),
    *("packed_tagger", "weight_drop", "layer_norm_lstm", "scripted_lstm", "sampling_by_item", "batch_norm_gru"),
)
"""Of people's models those that differ in how they train: packed, cells, carried state, buffers, one at a time."""


def tensors_in_circles(step):
    """How many tensors only the garbage collector would free after a step."""
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        step()
        gc.collect()
        return sum(isinstance(found, torch.Tensor) for found in gc.garbage)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


@pytest.mark.sampled
@pytest.mark.filterwarnings("ignore")  # of torch, about what is out of fashion
@pytest.mark.parametrize("name", KINDS)
def test_a_step_of_a_users_model(name):
    user = UserModule("module:m:p", PROBLEMS[name], {}, None, "")
    tried = try_batching(user, "module", 4, CPU, 7)
    array = module_array(
        user, slots=2, batch_size=4, steps=9, batched=tried.batched, shared_draws=7, padding=tried.padding
    )
    for seed in range(2):
        array.admit(TrainingRun(seed=seed, strategy="norm", threshold=1.0, learning_rate=0.01))
    array.train(3)
    assert tensors_in_circles(lambda: array.train(2)) == 0


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_a_step_of_the_built_in_models(cell):
    data = load_task("reverse", max_length=6, symbols=7, examples=300)
    array = TrialArray(
        ModelShape(cell=cell, **data.sizes, embedding_size=5, hidden_size=6, attention="bahdanau", dropout=0.1),
        data,
        slots=2,
        batch_size=8,
        optimizer=OptimizerSettings("adam"),
        schedule=Schedule("constant", 9),
        workspace=Workspace(torch.float32, CPU),
    )
    for seed in range(2):
        array.admit(TrainingRun(seed=seed, strategy="norm", threshold=1.0, learning_rate=0.01))
    array.train(3)
    assert tensors_in_circles(lambda: array.train(2)) == 0
