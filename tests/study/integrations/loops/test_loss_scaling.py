"""The callbacks in float16 with a real ``GradScaler``, on the processor, against a plain loop that does as much."""

import copy
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import pytest
import torch
import trainers
import transformers
from lightning.pytorch.plugins import MixedPrecision
from torch import nn

from gradstudy.study import open_study
from gradstudy.study.integrations import GradstudyCallback, GradstudyTrainerCallback
from gradstudy.study.integrations.loops.recorded_run import RecordedRun

STEPS, RATE, THRESHOLD = 12, 2.0, 0.05
FITTING, TOO_LARGE = 2.0**10, 2.0**24
"""Scales with which no gradient overflows, and with which those of the first steps do."""
FLOAT16 = 2.0**-10
"""The smallest share by which two of its numbers differ."""

pytestmark = [
    # What the libraries warn of by themselves.
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*`isinstance\\(treespec, LeafSpec\\)` is deprecated"),
    pytest.mark.filterwarnings("ignore:.*GPU available but not used"),
]


@pytest.fixture(autouse=True)
def half_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not every processor has oneDNN's LSTM in float16; torch's own runs on all."""
    monkeypatch.setattr(torch.backends.mkldnn, "enabled", False)


class LossTimes(nn.Module):
    """A model whose loss is multiplied at one step, by what may make it too large."""

    def __init__(self, step: int | None, factor: float) -> None:
        super().__init__()
        self.model = trainers.seeded()
        self.step, self.factor, self.seen = step, factor, 0

    def forward(self, input_ids: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        made: dict[str, torch.Tensor] = self.model(input_ids, labels)
        if self.training:
            self.seen += 1
            if self.seen - 1 == self.step:
                made["loss"] = made["loss"] * self.factor
        return made


class Scaled:
    """What a plain loop in float16 says: unscale, clip, step, update."""

    def __init__(self, scale: float) -> None:
        model = trainers.seeded()
        optimizer = torch.optim.SGD(model.parameters(), RATE)
        scaler = torch.amp.GradScaler("cpu", init_scale=scale)
        self.losses: list[float] = []
        self.norms: list[float] = []
        for (batch,) in trainers.batches(STEPS):
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.float16):
                loss = model(**batch)["loss"]
            scaler.scale(loss).backward()
            scaler.unscale_(optimizer)
            self.norms.append(float(nn.utils.clip_grad_norm_(model.parameters(), THRESHOLD)))
            scaler.step(optimizer)
            scaler.update()
            self.losses.append(float(loss.detach()))
        self.scale, self.parameters = scaler.get_scale(), copy.deepcopy(model.state_dict())


class Lit(lightning.LightningModule):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def training_step(self, batch: dict[str, torch.Tensor], number: int) -> torch.Tensor:
        loss: torch.Tensor = self.model(**batch)["loss"]
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), RATE)


def with_lightning(model: nn.Module, scaler: torch.amp.GradScaler, folder: Path, **given: Any) -> RecordedRun:
    callback = GradstudyCallback("norm", THRESHOLD, study="r", **given)
    rows: Any = trainers.examples(STEPS * trainers.BATCH)
    lightning.Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, callbacks=[callback], plugins=[MixedPrecision("16-mixed", "cpu", scaler)],
    ).fit(Lit(model), torch.utils.data.DataLoader(rows, batch_size=trainers.BATCH))  # fmt: skip
    assert callback.run is not None
    return callback.run


def with_hugging_face(model: nn.Module, scaler: torch.amp.GradScaler, folder: Path, **given: Any) -> RecordedRun:
    class OnTheProcessor(transformers.Trainer):
        """Float16 as on a GPU: accelerate makes a scaler there only."""

        def create_accelerator_and_postprocess(self) -> None:
            super().create_accelerator_and_postprocess()
            self.accelerator.native_amp, self.accelerator.scaler = True, scaler

    callback = GradstudyTrainerCallback("norm", THRESHOLD, study="r", **given)
    arguments = transformers.TrainingArguments(
        output_dir=str(folder), per_device_train_batch_size=trainers.BATCH, max_steps=STEPS, optim="sgd",
        learning_rate=RATE, lr_scheduler_type="constant", use_cpu=True, report_to=[], save_strategy="no", fp16=True,
        disable_tqdm=True, logging_steps=1, train_sampling_strategy="sequential", dataloader_pin_memory=False,
        max_grad_norm=0,
    )  # fmt: skip
    rows: Any = trainers.examples(STEPS * trainers.BATCH)
    OnTheProcessor(model, arguments, train_dataset=rows, callbacks=[callback]).train()
    assert callback.run is not None
    return callback.run


Train = Callable[..., RecordedRun]


@pytest.fixture(params=[with_lightning, with_hugging_face])
def train(request: pytest.FixtureRequest, tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Train:
    """Train by a trainer, into a database of its own."""
    monkeypatch.setenv("GRADSTUDY_STORAGE", sqlite_url)
    monkeypatch.chdir(tmp_path)
    return lambda model, scaler, **given: request.param(model, scaler, tmp_path, **given)


@pytest.mark.parametrize("scale", [FITTING, TOO_LARGE])
def test_gradients_are_unscaled_and_clipped_as_a_plain_loop_does(train: Train, scale: float) -> None:
    plain, model = Scaled(scale), trainers.seeded()
    scaler = torch.amp.GradScaler("cpu", init_scale=scale)
    run = train(model, scaler)
    overflowed = ~np.isfinite(plain.norms)
    assert overflowed.any() == (scale == TOO_LARGE)
    assert not overflowed.all()
    assert run.outcome in ("trained", "stalled")
    with open_study("r") as study:
        steps, trials = study.steps(), study.trials()
    assert trials["outcome"].tolist() == [run.outcome]
    assert steps["loss"].to_numpy() == pytest.approx(plain.losses, rel=FLOAT16)
    assert steps["grad_norm"].to_numpy() == pytest.approx(np.where(overflowed, 0, plain.norms), rel=FLOAT16)
    assert steps["applied_norm"].to_numpy() == pytest.approx(
        np.where(overflowed, 0, np.minimum(plain.norms, THRESHOLD)), rel=FLOAT16
    )
    assert scaler.get_scale() == plain.scale
    for name, parameter in model.state_dict().items():
        torch.testing.assert_close(parameter, plain.parameters[name], rtol=FLOAT16, atol=1e-5)


@pytest.mark.parametrize("guard", [False, True])
def test_a_loss_that_is_not_finite_is_a_divergence_unless_it_is_guarded(train: Train, guard: bool) -> None:
    model = LossTimes(step=4, factor=math.nan)
    run = train(model, torch.amp.GradScaler("cpu", init_scale=FITTING), guard=guard)
    assert (run.outcome, run.reason, run.steps) == (
        (run.outcome, None, STEPS) if guard else ("diverged", "non_finite_loss", 5)
    )
    assert guard == (run.outcome in ("trained", "stalled"))
    assert all(parameter.isfinite().all() for parameter in model.parameters())


def test_an_overflow_that_no_smaller_scale_mends_is_a_divergence(train: Train) -> None:
    model = LossTimes(step=4, factor=1e30)
    run = train(model, torch.amp.GradScaler("cpu", init_scale=1.0, backoff_factor=0.9), on_divergence="stop")
    assert (run.outcome, run.reason, run.steps) == ("diverged", "non_finite_gradient", 5)
    assert all(parameter.isfinite().all() for parameter in model.parameters())


def test_a_training_that_goes_back_takes_no_step_of_the_scaler(train: Train) -> None:
    model = LossTimes(step=4, factor=math.nan)
    run = train(model, torch.amp.GradScaler("cpu", init_scale=FITTING), on_divergence="rewind")
    assert (run.outcome, run.reason) == ("diverged", "non_finite_loss")
    assert model.seen == STEPS
    assert all(parameter.isfinite().all() for parameter in model.parameters())
