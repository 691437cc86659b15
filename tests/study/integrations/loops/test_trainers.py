"""Real trainers of Lightning's and Hugging Face's with the callbacks, against a plain loop of the same seed."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning
import pandas as pd
import pytest
import torch
import trainers
import transformers
from torch import nn

from gradstudy.models.clipping import Clipper
from gradstudy.study import open_study
from gradstudy.study.errors import SpecError
from gradstudy.study.integrations import GradstudyCallback, GradstudyTrainerCallback
from gradstudy.study.integrations.loops.recorded_run import RecordedRun

STEPS = 30

pytestmark = [
    # What the libraries warn of by themselves.
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*`isinstance\\(treespec, LeafSpec\\)` is deprecated"),
    pytest.mark.filterwarnings("ignore:.*GPU available but not used"),
]


class Lit(lightning.LightningModule):
    def __init__(self, learning_rate: float, bad_step: int | None = None) -> None:
        super().__init__()
        self.model = trainers.seeded()
        self.learning_rate = learning_rate
        self.bad_step = bad_step

    def training_step(self, batch: dict[str, torch.Tensor], number: int) -> torch.Tensor:
        loss: torch.Tensor = self.model(**batch)["loss"]
        return loss * math.nan if number == self.bad_step else loss

    def validation_step(self, batch: dict[str, torch.Tensor], number: int) -> None:
        self.log("val_loss", self.model(**batch)["loss"])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), self.learning_rate)


def loader(count: int) -> torch.utils.data.DataLoader[Any]:
    rows: Any = trainers.examples(count * trainers.BATCH)
    return torch.utils.data.DataLoader(rows, batch_size=trainers.BATCH)


def with_lightning(
    learning_rate: float, *clipping: Any, accumulate: int = 1, steps: int = STEPS, bad_step: int | None = None,
    trainer: dict[str, Any] | None = None, **given: Any,
) -> tuple[RecordedRun, nn.Module]:  # fmt: skip
    callback = GradstudyCallback(*clipping, **given)
    module = Lit(learning_rate, bad_step)
    lightning.Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, accumulate_grad_batches=accumulate, callbacks=[callback], **(trainer or {}),
    ).fit(module, loader(steps * accumulate), loader(2))  # fmt: skip
    assert callback.run is not None
    return callback.run, module.model


def with_hugging_face(
    learning_rate: float, *clipping: Any, accumulate: int = 1, steps: int = STEPS,
    trainer: dict[str, Any] | None = None, folder: Path, **given: Any,
) -> tuple[RecordedRun, nn.Module]:  # fmt: skip
    callback = GradstudyTrainerCallback(*clipping, **given)
    arguments = transformers.TrainingArguments(
        output_dir=str(folder), per_device_train_batch_size=trainers.BATCH, max_steps=steps, optim="sgd",
        learning_rate=learning_rate, lr_scheduler_type="constant", use_cpu=True, report_to=[], save_strategy="no",
        disable_tqdm=True, logging_steps=1, gradient_accumulation_steps=accumulate, eval_strategy="epoch",
        train_sampling_strategy="sequential", dataloader_pin_memory=False, eval_on_start=True,
        per_device_eval_batch_size=trainers.BATCH, **{"max_grad_norm": 0, **(trainer or {})},
    )  # fmt: skip
    model = trainers.seeded()
    rows: Any = trainers.examples(steps * accumulate * trainers.BATCH)
    transformers.Trainer(
        model, arguments, train_dataset=rows, eval_dataset=rows[: 2 * trainers.BATCH], callbacks=[callback]
    ).train()
    assert callback.run is not None
    return callback.run, model


Train = Callable[..., tuple[RecordedRun, nn.Module]]


@pytest.fixture(params=["lightning", "hugging_face"])
def train(request: pytest.FixtureRequest, tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Train:
    """Train by a trainer, into a database of its own."""
    monkeypatch.setenv("GRADSTUDY_STORAGE", sqlite_url)
    monkeypatch.chdir(tmp_path)
    if request.param == "lightning":
        return with_lightning
    return lambda *given, **named: with_hugging_face(*given, **named, folder=tmp_path)


def steps_of(study: str) -> pd.DataFrame:
    with open_study(study) as opened:
        return opened.steps()


@pytest.mark.sampled
@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize(("strategy", "threshold"), [("norm", 0.05), ("value", 0.01), ("autoclip", 30.0)])
def test_a_trainer_clips_as_a_plain_loop_does(train: Train, strategy: str, threshold: float, accumulate: int) -> None:
    rules: dict[str, Callable[[nn.Module], Any]] = {
        "norm": lambda model: nn.utils.clip_grad_norm_(model.parameters(), threshold),
        "value": lambda model: nn.utils.clip_grad_value_(model.parameters(), threshold) or 0.0,
    }
    losses, norms = trainers.plain_loop(STEPS, 2.0, rules.get(strategy) or Clipper(strategy, threshold), accumulate)
    run, _ = train(2.0, strategy, threshold, accumulate=accumulate, study="r", cell="lstm", seed=3)
    steps = steps_of("r")
    assert steps["loss"].to_numpy() == pytest.approx(losses, rel=1e-4)
    if strategy != "value":  # which tells no norm
        assert steps["grad_norm"].to_numpy() == pytest.approx(norms, rel=1e-4)
    if strategy == "norm":
        assert steps["applied_norm"].max() == pytest.approx(0.05, rel=1e-3)
    assert run.outcome in ("trained", "stalled")
    with open_study("r") as study:
        row = study.trials().iloc[0]
    assert (row["cell"], row["strategy"], row["threshold"], row["learning_rate"], row["seed"]) == (
        "lstm", strategy, threshold, 2.0, 3,
    )  # fmt: skip
    assert row["initial_validation_loss"] == pytest.approx(math.log(trainers.WORDS), abs=0.1)
    assert row["validation_loss"] < row["initial_validation_loss"]


def test_a_learning_rate_that_is_too_high_ends_the_training_and_is_kept(train: Train) -> None:
    run, model = train(1e5, "none", study="r", on_divergence="stop")
    assert run.outcome == "diverged"
    assert run.steps < STEPS
    assert all(parameter.isfinite().all() for parameter in model.parameters())
    with open_study("r") as study:
        assert study.trials()["outcome"].tolist() == ["diverged"]
        assert len(study.steps()) == run.steps


def test_a_training_that_goes_back_ends_well(train: Train, caplog: pytest.LogCaptureFixture) -> None:
    run, model = train(60.0, "none", study="r", on_divergence="rewind", steps=60)
    assert (run.outcome, run.reason) == ("diverged", "blow_up")
    assert "goes on from its state before step 0, with learning rate 30" in caplog.text
    final = trainers.batches(1)[0][0]
    with torch.no_grad():
        assert float(model(**final)["loss"]) < 5 * math.log(trainers.WORDS)
    with open_study("r") as study:
        assert study.trials()["outcome"].tolist() == ["diverged"]


def test_a_training_may_go_on_whatever_it_does(train: Train) -> None:
    run, _ = train(1e5, "none", study="r", on_divergence="continue")
    assert run.outcome == "diverged"


def test_a_step_that_is_not_finite_is_skipped(sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run, model = with_lightning(1.0, "norm", 1.0, bad_step=7, guard=True, study="r", storage=sqlite_url)
    assert run.outcome in ("trained", "stalled")
    assert all(parameter.isfinite().all() for parameter in model.parameters())
    with open_study("r", sqlite_url) as study:
        assert study.trials()["skipped_steps"].tolist() == [1]
    run, _ = with_lightning(1.0, "norm", 1.0, bad_step=7, study="r", storage=sqlite_url)
    assert (run.outcome, run.reason, run.steps) == ("diverged", "non_finite_loss", 8)


class Raises(transformers.TrainerCallback, lightning.Callback):
    def on_step_end(self, arguments: Any, state: Any, control: Any, **given: Any) -> None:
        if state.global_step == 5:
            raise ZeroDivisionError

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, number: int) -> None:
        if number == 4:
            raise ZeroDivisionError


def test_a_lightning_training_that_raises_has_failed(sqlite_url: str) -> None:
    callback = GradstudyCallback("norm", 1.0, study="r", storage=sqlite_url)
    trainer = lightning.Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, callbacks=[callback, Raises()],
    )  # fmt: skip
    with pytest.raises(ZeroDivisionError):
        trainer.fit(Lit(1.0), loader(STEPS), loader(2))
    assert callback.run is not None
    assert (callback.run.outcome, callback.run.reason, callback.run.steps) == ("failed", "exception", 5)


def test_a_hugging_face_training_that_raises_has_failed_when_the_next_one_begins(
    sqlite_url: str, tmp_path: Path
) -> None:
    callback = GradstudyTrainerCallback("norm", 1.0, study="r", storage=sqlite_url)
    arguments = transformers.TrainingArguments(
        output_dir=str(tmp_path), max_steps=STEPS, use_cpu=True, report_to=[], save_strategy="no", disable_tqdm=True,
        max_grad_norm=0, dataloader_pin_memory=False,
    )  # fmt: skip
    rows: Any = trainers.examples(STEPS * trainers.BATCH)
    first = transformers.Trainer(trainers.seeded(), arguments, train_dataset=rows, callbacks=[callback, Raises()])
    with pytest.raises(ZeroDivisionError):
        first.train()
    transformers.Trainer(trainers.seeded(), arguments, train_dataset=rows, callbacks=[callback]).train()
    with open_study("r", sqlite_url) as study:
        rows = study.trials()
    assert rows["outcome"].tolist()[0] == "failed"
    assert rows["steps"].tolist() == [5, STEPS]


def test_nothing_is_recorded_where_no_study_is_named(train: Train, sqlite_url: str) -> None:
    run, _ = train(1.0, "norm", 1.0)
    assert run.outcome in ("trained", "stalled")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("norm",), "strategy 'norm' needs a threshold"),
        (("clip", 1.0), "there is no strategy 'clip'"),
        (("recurrent", 1.0), "clips inside the backward pass"),
    ],
)
def test_a_rule_that_cannot_be_is_said(train: Train, given: tuple[Any, ...], said: str) -> None:
    with pytest.raises(SpecError, match=said):
        train(1.0, *given)


def test_a_trainer_that_clips_by_itself_is_refused(train: Train) -> None:
    for own in ({"gradient_clip_val": 1.0}, {"max_grad_norm": 1.0}):
        name = next(iter(own))
        if (train is with_lightning) == (name == "gradient_clip_val"):
            with pytest.raises(SpecError, match=name):
                train(1.0, "norm", 1.0, trainer=own)
