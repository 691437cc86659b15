"""What is recommended, in which order, and that it can be pasted."""

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from gradstudy.study.diagnosis.diagnose import diagnose
from gradstudy.study.diagnosis.remedies import Remedy, remedies

STEPS = np.arange(1, 301)
FALLING = 0.5 + 3 * np.exp(-STEPS / 60)


def tried(tmp_path: Path, columns: Mapping[str, np.ndarray], *, is_shared: bool = False) -> list[Remedy]:
    rows = "".join(",".join(map(str, row)) + "\n" for row in zip(*columns.values(), strict=True))
    path = tmp_path / "log.csv"
    path.write_text(",".join(columns) + "\n" + rows)
    (run,) = diagnose([path]).runs
    return remedies(run, is_shared=is_shared)


def broken(at: int, value: float) -> np.ndarray:
    return np.where(at <= STEPS, value, FALLING)


def test_a_healthy_run_needs_nothing(tmp_path: Path) -> None:
    assert tried(tmp_path, {"step": STEPS, "loss": FALLING, "lr": np.full(300, 0.1)}) == []


def test_a_lower_rate_comes_before_clipping_and_the_study_last(tmp_path: Path) -> None:
    columns = {"step": STEPS, "loss": broken(250, 40.0), "grad_norm": 1 + STEPS / 300, "lr": np.full(300, 0.5)}
    first, second, *_, last = tried(tmp_path, columns)
    assert first.what == "A tenth of the learning rate: 0.05 instead of 0.5"
    threshold = float(f"{np.quantile(columns['grad_norm'][:249], 0.9):.3g}")
    assert second.what == f"Clipping by norm at {threshold:g}"
    assert second.code == f"torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm={threshold:g})"
    assert last.code.startswith("gradstudy launch mine --task module:")
    assert "--lr 0.005:0.5 --threshold norm=" in last.code


@pytest.mark.parametrize(("value", "is_shared"), [(math.nan, False), (40.0, True)])
def test_a_batch_is_looked_at_first_where_the_log_speaks_for_one(tmp_path: Path, value: float, is_shared: bool) -> None:
    norms = np.random.default_rng(0).lognormal(0, 0.3, 300)
    first, *_ = tried(tmp_path, {"step": STEPS, "loss": broken(250, value), "norm": norms}, is_shared=is_shared)
    assert first.what == "Look at the batch of step 250"


def test_the_code_that_skips_steps_runs(tmp_path: Path) -> None:
    first, *_ = tried(tmp_path, {"step": STEPS, "loss": broken(250, math.nan)})
    model = torch.nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for bad in (True, False):
        before = model.weight.detach().clone()
        optimizer.zero_grad()
        loss = model(torch.ones(1, 2)).sum() * (math.nan if bad else 1.0)
        loss.backward()
        exec(first.code, {"torch": torch, "model": model, "loss": loss, "optimizer": optimizer})
        assert torch.equal(model.weight, before) == bad


def test_a_jump_of_the_rate_shortly_before_is_named(tmp_path: Path) -> None:
    rates = np.where(STEPS < 248, 0.1, 3.0)
    first, *_ = tried(tmp_path, {"step": STEPS, "loss": broken(250, 40.0), "lr": rates})
    assert (first.what, "step 248" in first.why) == ("Look at the schedule of the learning rate", True)


def test_a_warm_up_is_for_runs_that_break_early_without_one(tmp_path: Path) -> None:
    def names(at: int, rates: np.ndarray) -> list[str]:
        columns = {"step": 10 * STEPS, "loss": broken(at, 40.0), "lr": rates}
        return [remedy.what for remedy in tried(tmp_path, columns)]

    constant, warm = np.full(300, 0.1), 0.1 * np.minimum(STEPS / 10, 1)
    assert "A warm-up of the learning rate" in names(20, constant)
    assert "A warm-up of the learning rate" not in names(20, warm)
    assert "A warm-up of the learning rate" not in names(250, constant)


def test_no_setting_is_recommended_where_no_loss_is_finite(tmp_path: Path) -> None:
    (only,) = tried(tmp_path, {"step": STEPS, "loss": np.full(300, math.nan)})
    assert only.what == "Look at the data and the loss"
