"""Loading the compiled kernels before there is work: for the first of them numba takes most of a second."""

import torch

from gradstudy.models.array import TrainingRun, TrialArray
from gradstudy.models.cell_names import Cell
from gradstudy.models.model_shape import ModelShape
from gradstudy.models.optimizer_settings import OptimizerSettings
from gradstudy.models.schedules import Schedule
from gradstudy.models.tasks.catalogue import load_task
from gradstudy.models.workspace import Workspace

CELLS: tuple[Cell, ...] = ("lstm", "gru")


def load_kernels() -> None:
    """Train the smallest models for a step."""
    data = load_task("copy", max_length=1, symbols=4, examples=4)
    for cell in CELLS:
        shape = ModelShape(
            cell=cell,
            source_vocabulary=data.sizes["source_vocabulary"],
            target_vocabulary=data.sizes["target_vocabulary"],
            embedding_size=1,
            hidden_size=1,
        )
        workspace = Workspace(torch.float32, torch.device("cpu"))
        array = TrialArray(
            shape,
            data,
            slots=1,
            batch_size=1,
            optimizer=OptimizerSettings(),
            schedule=Schedule("constant", steps=1),
            workspace=workspace,
        )
        array.admit(TrainingRun(seed=0, strategy="none", threshold=None, learning_rate=0.1))
        array.train(1)
