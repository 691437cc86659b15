"""Make the logs of this folder by the libraries that people use; run by hand where these are installed.

    python tests/study/diagnosis/make_logs.py [NAME ...]

A small GRU learns to sum up sequences. What goes wrong is done to it on purpose at a step that is known: its learning
rate is set to a million after step ``BREAK``, so that the loss of the next step is the first bad one, or the targets of
one batch are NaN. The truths are in ``test_peoples_logs.py``.
"""

import gzip
import json
import logging
import math
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import torch
from torch import nn

os.environ |= {
    "KERAS_BACKEND": "torch",
    "WANDB_MODE": "offline",
    "WANDB_SILENT": "true",
    "MLFLOW_ALLOW_FILE_STORE": "true",
}
LOGS = Path(__file__).parent / "logs"
BREAK = 60
TOO_HIGH = 1e6
LENGTH, WIDTH = 8, 3


class Summing(nn.Module):
    """A GRU and a line."""

    def __init__(self) -> None:
        super().__init__()
        self.recurrent = nn.GRU(WIDTH, 16, batch_first=True)
        self.out = nn.Linear(16, 1)

    def forward(self, inputs: torch.Tensor, labels: torch.Tensor | None = None) -> Any:
        answer = self.out(self.recurrent(inputs)[0][:, -1]).squeeze(-1)
        return answer if labels is None else {"loss": nn.functional.mse_loss(answer, labels), "logits": answer}


def batches(steps: int, bad: int | None = None, seed: int = 0) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Batches from step 1 on; the targets of the bad one are NaN."""
    draws = torch.Generator().manual_seed(seed)
    for step in range(1, steps + 1):
        inputs = torch.randn(32, LENGTH, WIDTH, generator=draws)
        targets = inputs.sum((1, 2)) / 2
        yield inputs, targets * math.nan if step == bad else targets


def train(
    steps: int, log: Callable[[int, dict[str, float]], None], *, break_at: int | None = None, bad: int | None = None,
    seed: int = 0, lr: float = 0.05, warmup: int = 0,
) -> None:  # fmt: skip
    """A plain loop, which hands every step's numbers to ``log``."""
    torch.manual_seed(seed)
    model = Summing()
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    for step, (inputs, targets) in enumerate(batches(steps, bad, seed), 1):
        rate = lr * min(1, step / warmup) if warmup else lr
        optimizer.param_groups[0]["lr"] = TOO_HIGH if step == break_at else rate
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(inputs), targets)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), math.inf)
        log(step, {"loss": loss.item(), "grad_norm": norm.item(), "learning_rate": optimizer.param_groups[0]["lr"]})
        optimizer.step()


def lightning(steps: int, every: int, break_at: int | None, logger: Any, name: str) -> None:
    """Lightning's own loop with validation after every 100 steps."""
    import lightning as pl

    class Module(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.save_hyperparameters({"hidden": 16})
            self.model = Summing()

        def training_step(self, batch: Any, _: int) -> torch.Tensor:
            loss = self.model(*batch)["loss"]
            self.log("train_loss", loss, on_step=True, on_epoch=True, prog_bar=True)
            return loss

        def validation_step(self, batch: Any, _: int) -> None:
            self.log("val_loss", self.model(*batch)["loss"])

        def on_before_optimizer_step(self, optimizer: Any) -> None:
            self.log_dict(pl.pytorch.utilities.grad_norm(self, norm_type=2))
            # A step is called n when n - 1 others came before it.
            optimizer.param_groups[0]["lr"] = TOO_HIGH if self.global_step == break_at else 0.05

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.05)

    torch.manual_seed(0)
    callbacks = [pl.pytorch.callbacks.LearningRateMonitor("step")]
    trainer = pl.Trainer(
        max_epochs=steps // 100, logger=logger, log_every_n_steps=every, enable_checkpointing=False,
        callbacks=callbacks, accelerator="cpu", enable_model_summary=False, enable_progress_bar=name == "bar",
    )  # fmt: skip
    data = [
        torch.utils.data.DataLoader(list(each), batch_size=None, shuffle=False)  # type: ignore[arg-type]
        for each in (batches(100), batches(5, seed=1))
    ]
    trainer.fit(Module(), *data)


def transformers_state(
    folder: Path, steps: int, every: int, break_at: int | None = None, bad: int | None = None, warmup: int = 0
) -> None:
    """The trainer_state.json of Hugging Face's trainer."""
    import transformers

    class Break(transformers.TrainerCallback):
        def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, optimizer: Any = None, **_: Any) -> None:
            if state.global_step + 1 == break_at:
                for group in optimizer.param_groups:
                    group["lr"] = TOO_HIGH

    rows = [
        {"inputs": inputs[row], "labels": targets[row]}
        for inputs, targets in batches(steps, bad)
        for row in range(len(inputs))
    ]
    held_out = [
        {"inputs": inputs[row], "labels": targets[row]} for inputs, targets in batches(2, seed=1) for row in range(32)
    ]
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as output:
        arguments = transformers.TrainingArguments(
            output, per_device_train_batch_size=32, max_steps=steps, logging_steps=every, learning_rate=0.05,
            optim="sgd", lr_scheduler_type="linear", warmup_steps=warmup, max_grad_norm=1e9, report_to=[],
            save_strategy="no",
            eval_strategy="steps", eval_steps=50, use_cpu=True, seed=0, disable_tqdm=True,
        )  # fmt: skip

        class InOrder(transformers.Trainer):
            def _get_train_sampler(self, *_: Any, **__: Any) -> Any:
                return torch.utils.data.SequentialSampler(rows)

        trainer = InOrder(Summing(), arguments, train_dataset=rows, eval_dataset=held_out, callbacks=[Break()])
        with redirect_stdout((folder.parent / f"{folder.name}.log").open("w")):
            trainer.train()
        trainer.save_state()
        folder.mkdir(exist_ok=True)
        shutil.copy(Path(output) / "trainer_state.json", folder)


def keras_log(path: Path, epochs: int, break_at: int | None, parts: int = 1) -> None:
    """Keras' CSVLogger and what ``fit`` prints, of means over epochs; the rate breaks at the beginning of an epoch."""
    import keras

    keras.utils.set_random_seed(0)
    inputs = torch.randn(640, LENGTH, WIDTH).numpy()
    targets = inputs.sum((1, 2)) / 2
    model = keras.Sequential([keras.layers.GRU(16), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.02), "mse")
    path.unlink(missing_ok=True)

    class Break(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            if epoch == break_at:
                self.model.optimizer.learning_rate = 30.0

    with redirect_stdout(path.with_suffix(".log").open("w")):
        for _ in range(parts):
            callbacks = [keras.callbacks.CSVLogger(path, append=True), Break()]
            model.fit(inputs, targets, epochs=epochs, verbose=2, validation_split=0.2, callbacks=callbacks)


def lightning_csv(folder: Path, **how: Any) -> None:
    from lightning.pytorch.loggers import CSVLogger

    with tempfile.TemporaryDirectory() as place:
        lightning(how["steps"], how["every"], how.get("break_at"), CSVLogger(place, name="a", version=0), "csv")
        shutil.copy(Path(place) / "a" / "version_0" / "metrics.csv", folder)


def lightning_tensorboard(folder: Path) -> None:
    from lightning.pytorch.loggers import TensorBoardLogger

    shutil.rmtree(folder, ignore_errors=True)
    lightning(400, 10, None, TensorBoardLogger(folder, name="", version=0), "tensorboard")
    _named_alike(folder)


def tensorboard_runs(folder: Path) -> None:
    """Three runs of different rates that meet the same bad batch."""
    from torch.utils.tensorboard import SummaryWriter

    shutil.rmtree(folder, ignore_errors=True)
    for lr in (0.01, 0.03, 0.1):
        with SummaryWriter(folder / f"lr-{lr:g}") as writer:

            def log(step: int, values: dict[str, float], writer: Any = writer) -> None:
                for name, value in values.items():
                    writer.add_scalar(f"train/{name}", value, step)

            train(120, log, bad=80, lr=lr)  # fmt: skip
    _named_alike(folder)


def wandb_run(folder: Path, **how: Any) -> None:
    import wandb

    with tempfile.TemporaryDirectory() as place:
        run = wandb.init(project="summing", dir=place)
        train(log=lambda step, values: run.log({f"train/{name}": value for name, value in values.items()}), **how)
        run.finish()
        wandb.teardown()  # another process writes the file
        (found,) = Path(place).rglob("*.wandb")
        with gzip.open(folder, "wb") as file:
            file.write(_without_places(found.read_bytes()))


def _without_places(content: bytes) -> bytes:
    """The bytes, in which folders of this machine are as many letters x."""
    for place in (str(Path(__file__).parents[3]), str(Path.cwd()), sys.prefix):
        content = content.replace(place.encode(), b"x" * len(place))
    return content


def _named_alike(folder: Path) -> None:
    """Event files with names without time and machine."""
    for number, path in enumerate(sorted(folder.rglob("events.out.tfevents*"))):
        path.rename(path.with_name(f"events.out.tfevents.{number}.host.1.0"))


def mlflow_runs(folder: Path, store: str) -> None:
    """Two runs: one that breaks, and a healthy one."""
    import mlflow

    with tempfile.TemporaryDirectory() as place:
        mlflow.set_tracking_uri(f"file:{place}/mlruns" if store == "files" else f"sqlite:///{place}/mlflow.db")
        for name, break_at in (("broken", BREAK), ("healthy", None)):
            with mlflow.start_run(run_name=name):
                train(120, lambda step, values: mlflow.log_metrics(values, step=step), break_at=break_at)
        if store == "files":
            shutil.rmtree(folder, ignore_errors=True)
            for meta in Path(place, "mlruns").rglob("metrics"):
                target = folder / meta.parent.name
                shutil.copytree(meta, target / "metrics")
                shutil.copy(meta.parent / "meta.yaml", target)
                (target / "tags").mkdir()
                shutil.copy(meta.parent / "tags" / "mlflow.runName", target / "tags")
        else:
            with gzip.open(folder, "wb") as file:
                file.write(_without_places(Path(place, "mlflow.db").read_bytes()))


def json_lines(path: Path) -> None:
    with path.open("w") as file:
        train(200, lambda step, values: print(json.dumps({"step": step, **values}), file=file), break_at=150, warmup=50)


def pandas_csv(path: Path) -> None:
    import pandas as pd

    rows: list[dict[str, float]] = []
    train(300, lambda step, values: rows.append({"step": step, **values}), lr=0.1)
    pd.DataFrame(rows).to_csv(path, index=False)


def logged_text(path: Path, break_at: int | None) -> None:
    """What ``logging`` writes, with validation in lines of its own, and steps that begin anew with each epoch."""
    logger = logging.getLogger(path.name)
    handler = logging.FileHandler(path, "w")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)

    def log(step: int, values: dict[str, float]) -> None:
        epoch, batch = divmod(step - 1, 50)
        shown = epoch, batch, values["loss"], values["loss"], values["grad_norm"], values["learning_rate"]
        logger.info("Epoch: [%d][%3d/50]\tLoss %.4e (%.4e)\tgrad norm %.3f\tlr %g", *shown)
        if batch == 49:
            logger.info("Epoch %d: validation loss %.4f, accuracy 12.5%%", epoch, 1.2 * values["loss"])

    train(200, log, break_at=break_at)


MADE: dict[str, Callable[[], None]] = {
    "lightning-broken": lambda: lightning_csv(LOGS / "lightning-broken.csv", steps=100, every=1, break_at=BREAK),
    "lightning-healthy": lambda: lightning_csv(LOGS / "lightning-healthy.csv", steps=1000, every=50),
    "lightning-tensorboard": lambda: lightning_tensorboard(LOGS / "lightning-tensorboard"),
    "keras-broken": lambda: keras_log(LOGS / "keras-broken.csv", 20, 14),
    "keras-resumed": lambda: keras_log(LOGS / "keras-resumed.csv", 12, None, parts=2),
    "trainer-broken": lambda: transformers_state(LOGS / "trainer-broken", 100, 1, break_at=BREAK),
    "trainer-healthy": lambda: transformers_state(LOGS / "trainer-healthy", 400, 10, warmup=100),
    "trainer-nan": lambda: transformers_state(LOGS / "trainer-nan", 100, 1, bad=70),
    "tensorboard-batch": lambda: tensorboard_runs(LOGS / "tensorboard-batch"),
    "wandb-broken": lambda: wandb_run(LOGS / "wandb-broken.wandb.gz", steps=120, break_at=BREAK),
    "wandb-healthy": lambda: wandb_run(LOGS / "wandb-healthy.wandb.gz", steps=200, warmup=50),
    "mlflow-files": lambda: mlflow_runs(LOGS / "mlflow-files", "files"),
    "mlflow-database": lambda: mlflow_runs(LOGS / "mlflow-database.db.gz", "database"),
    "json-lines": lambda: json_lines(LOGS / "json-lines.jsonl"),
    "pandas": lambda: pandas_csv(LOGS / "pandas.csv"),
    "text-broken": lambda: logged_text(LOGS / "text-broken.log", 120),
    "text-healthy": lambda: logged_text(LOGS / "text-healthy.log", None),
}


if __name__ == "__main__":
    LOGS.mkdir(exist_ok=True)
    for wanted in sys.argv[1:] or MADE:
        MADE[wanted]()
