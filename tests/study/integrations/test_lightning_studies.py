"""A study of a program that trains with Lightning and prunes with the callback of Optuna's own integration."""

from typing import Any

import lightning
import numpy as np
import optuna
import pytest
import torch
from optuna_integration import PyTorchLightningPruningCallback

from gradstudy.study import open_study

CURVATURE = 4.0
EDGE = 2 / CURVATURE
"""Gradient descent on a parabola diverges above this learning rate, and at no lower one."""

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*`isinstance\\(treespec, LeafSpec\\)` is deprecated"),
]


class Parabola(lightning.LightningModule):
    def __init__(self, learning_rate: float) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))
        self.learning_rate = learning_rate

    def training_step(self, batch: torch.Tensor, number: int) -> torch.Tensor:
        return CURVATURE / 2 * self.weight**2 + 0 * batch.sum()

    def validation_step(self, batch: torch.Tensor, number: int) -> None:
        self.log("val_loss", CURVATURE / 2 * self.weight**2 + 0.1)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), self.learning_rate)


def objective(trial: optuna.Trial) -> float:
    module = Parabola(trial.suggest_float("lr", 1e-3, 10, log=True))
    loader: Any = torch.utils.data.DataLoader(torch.zeros(10, 1))
    trainer = lightning.Trainer(
        max_epochs=4, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, callbacks=[PyTorchLightningPruningCallback(trial, monitor="val_loss")],
    )  # fmt: skip
    trainer.fit(module, loader, loader)
    return float(trainer.callback_metrics["val_loss"])


def test_the_report_is_right_about_a_study_of_lightnings_integration(sqlite_url: str) -> None:
    study = optuna.create_study(study_name="l", storage=sqlite_url, pruner=optuna.pruners.MedianPruner(5, 1))
    rates = np.geomspace(2e-3, 9, 20)
    for rate in np.random.default_rng(0).permutation(rates):
        study.enqueue_trial({"lr": float(rate)})
    study.optimize(objective, len(rates), catch=(ValueError,))
    with open_study("l", sqlite_url) as opened:
        report, rows = opened.summary(), opened.trials()
    ended = dict(zip(rows["learning_rate"], rows["outcome"], strict=True))
    assert {rate for rate, outcome in ended.items() if outcome == "diverged"} <= {rate for rate in ended if rate > EDGE}
    assert set(rows.loc[rows["learning_rate"] > EDGE, "outcome"]) <= {"diverged", "pruned"}
    assert set(rows.loc[rows["learning_rate"] < EDGE, "outcome"]) <= {"trained", "pruned"}
    assert {"diverged", "pruned", "trained"} == set(ended.values())
    assert report.recommendation is not None
    assert report.recommendation.setting.learning_rate < EDGE
    assert any("pruned" in caveat and "count neither way" in caveat for caveat in report.caveats)
