from typing import Any

import pytest
import torch
from thresholds import THRESHOLDS

from gradstudy.models.optimizer_settings import OPTIMIZERS
from gradstudy.models.strategies import STRATEGIES
from gradstudy.study.answer.code_to_paste import code_to_paste

BEFORE, AFTER = "# once, before the training loop\n", "\n# after loss.backward()\n"
RATE = 0.05


class Loop:
    """A training loop into which code was pasted: a part before it, a part after ``loss.backward()``."""

    def __init__(self, code: str) -> None:
        torch.manual_seed(0)
        self.model = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.Tanh(), torch.nn.Linear(5, 2)).double()
        self.names: dict[str, Any] = {"torch": torch, "model": self.model}
        before, after = code.removeprefix(BEFORE).split(AFTER)
        exec(before, self.names)
        self._after = compile(after, "pasted", "exec")
        self._inputs = torch.randn(8, 4, dtype=torch.float64)

    def step(self, factor: float = 1.0) -> None:
        """One step, of which the loss is that of the batch times a factor."""
        self.model.zero_grad()
        loss = (self.model(self._inputs) - 1).square().mean() * factor
        scaler = self.names.get("scaler")
        (scaler.scale(loss) if scaler else loss).backward()
        self.names["loss"] = loss
        exec(self._after, self.names)

    def parameters(self) -> torch.Tensor:
        return torch.nn.utils.parameters_to_vector(self.model.parameters()).detach().clone()

    def gradients(self) -> torch.Tensor:
        return torch.cat([p.grad.flatten().clone() for p in self.model.parameters() if p.grad is not None])


THRESHOLDS_HERE = THRESHOLDS | {"skip_norm": 10.0}
"""The norms of this loop are larger."""


def loop_of(strategy: str, optimizer: str = "sgd", guard: bool = False, rate: float = RATE) -> Loop:
    code = code_to_paste(strategy, THRESHOLDS_HERE[strategy], rate, {"optimizer": optimizer, "guard": guard})
    return Loop(code)


@pytest.mark.sampled
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("guard", [False, True])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_pasted_code_trains(strategy: str, guard: bool, optimizer: str) -> None:
    loop = loop_of(strategy, optimizer, guard)
    steps = 30  # further than the warm-up of zclip
    moved = 0
    for _ in range(steps):
        before = loop.parameters()
        loop.step()
        moved += not torch.equal(loop.parameters(), before)
    assert moved == steps or (STRATEGIES[strategy].skips and moved > steps / 2)
    assert torch.isfinite(loop.parameters()).all()


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("at", [0, 3, 27])
def test_with_the_guard_a_step_that_is_not_finite_leaves_everything_as_it_was(
    strategy: str, bad: float, at: int
) -> None:
    loop, undisturbed = loop_of(strategy, "adam", guard=True), loop_of(strategy, "adam", guard=True)
    for step in range(32):
        if step == at:
            before = loop.parameters()
            loop.step(bad)
            assert torch.equal(loop.parameters(), before)
        loop.step()
        undisturbed.step()
        assert torch.equal(loop.parameters(), undisturbed.parameters())


@pytest.mark.parametrize("strategy", ["none", "norm"])
def test_without_the_guard_a_loss_that_is_not_finite_ruins_the_parameters(strategy: str) -> None:
    loop = loop_of(strategy)
    loop.step(float("nan"))
    assert torch.isnan(loop.parameters()).all()


def test_with_the_guard_a_gradient_that_is_not_finite_is_enough_to_skip_a_step() -> None:
    loop = loop_of("norm", guard=True)
    before = loop.parameters()
    handle = loop.model[0].weight.register_hook(lambda gradient: gradient * float("inf"))
    loop.step()
    assert torch.isfinite(loop.names["loss"])
    assert torch.equal(loop.parameters(), before)
    handle.remove()
    loop.step()
    assert not torch.equal(loop.parameters(), before)


def test_the_guard_does_not_mind_parameters_without_a_gradient() -> None:
    loop = loop_of("norm", guard=True)
    loop.model.register_parameter("unused", torch.nn.Parameter(torch.zeros(3, dtype=torch.float64)))
    before = loop.parameters()
    loop.step()
    assert not torch.equal(loop.parameters(), before)


@pytest.mark.parametrize("guard", [False, True])
def test_a_step_of_sgd_without_clipping_is_the_learning_rate_times_the_gradient(guard: bool) -> None:
    loop = loop_of("none", guard=guard, rate=0.125)  # by a power of two products are exact
    for _ in range(3):
        before = loop.parameters()
        loop.step()
        assert torch.equal(loop.parameters(), before - 0.125 * loop.gradients())


def test_a_step_with_clipping_by_norm_is_no_longer_than_the_learning_rate_times_the_threshold() -> None:
    loop, plain = loop_of("norm"), loop_of("none")
    threshold = THRESHOLDS["norm"]
    assert threshold is not None
    before = loop.parameters()
    loop.step(100.0)
    plain.step(100.0)
    step, unclipped = loop.parameters() - before, plain.parameters() - before
    assert unclipped.norm() > 10 * RATE * threshold
    assert float(step.norm()) == pytest.approx(RATE * threshold, rel=1e-4)
    assert float(torch.cosine_similarity(step, unclipped, dim=0)) == pytest.approx(1.0)


def test_momentum_and_adam_do_their_own_second_steps() -> None:
    loop = loop_of("none", "momentum")
    loop.step()
    velocity, before = loop.gradients(), loop.parameters()
    loop.step()
    velocity = 0.9 * velocity + loop.gradients()
    torch.testing.assert_close(loop.parameters(), before - RATE * velocity)

    loop = loop_of("none", "adam")
    mean = square = torch.zeros_like(loop.parameters())
    for step in (1, 2):
        before = loop.parameters()
        loop.step()
        mean = 0.9 * mean + 0.1 * loop.gradients()
        square = 0.999 * square + 0.001 * loop.gradients() ** 2
        update = (mean / (1 - 0.9**step)) / ((square / (1 - 0.999**step)).sqrt() + 1e-8)
        torch.testing.assert_close(loop.parameters(), before - RATE * update)


@pytest.mark.parametrize("rate", [0.05, 1.23e-7, 456.0, 1e5])
def test_the_optimizer_has_the_learning_rate(rate: float) -> None:
    for optimizer in OPTIMIZERS:
        made = loop_of("none", optimizer, rate=rate).names["optimizer"]
        assert made.param_groups[0]["lr"] == rate
        assert type(made).__name__ == OPTIMIZERS[optimizer].torch_class


def test_ones_own_optimizer_is_named_with_its_learning_rate_in_a_comment() -> None:
    code = code_to_paste("norm", 0.5, 0.0123, {"optimizer": "own"})
    before, after = code.removeprefix(BEFORE).split(AFTER)
    assert before.strip() == "# your own optimizer, with lr=0.0123"
    names: dict[str, Any] = {}
    exec(before, names)
    assert "optimizer" not in names
    assert after.splitlines()[-1] == "optimizer.step()"


@pytest.mark.parametrize("strategy", ["autoclip", "zclip"])
def test_ones_own_optimizer_still_needs_what_the_strategy_remembers(strategy: str) -> None:
    code = code_to_paste(strategy, THRESHOLDS[strategy], 0.1, {"optimizer": "own"})
    before, _ = code.removeprefix(BEFORE).split(AFTER)
    names: dict[str, Any] = {}
    exec(before, names)
    assert names["norms"] == []


def test_a_spec_that_says_nothing_has_plain_sgd_without_a_guard() -> None:
    loop = Loop(code_to_paste("none", None, RATE, {}))
    assert type(loop.names["optimizer"]) is torch.optim.SGD
    before = loop.parameters()
    loop.step(float("nan"))
    assert torch.isnan(loop.parameters()).all()
    assert torch.isfinite(before).all()


def test_a_study_in_half_precision_says_so() -> None:
    assert "torch.autocast(device_type, torch.bfloat16)" in code_to_paste("norm", 0.5, RATE, {"precision": "bfloat16"})
    assert "torch.autocast(device_type, torch.float16)" in code_to_paste("norm", 0.5, RATE, {"precision": "float16"})
    assert "autocast" not in code_to_paste("norm", 0.5, RATE, {"precision": "float32"})


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_in_float16_the_scaled_gradients_are_clipped_as_those_without_a_scale(strategy: str) -> None:
    code = code_to_paste(strategy, THRESHOLDS_HERE[strategy], RATE, {"precision": "float16"})
    scaled, plain = Loop(code.replace("GradScaler()", "GradScaler('cpu')")), loop_of(strategy)
    for step in range(30):
        before = scaled.parameters()
        scaled.step(float("inf") if step == 20 else 1.0)
        changed = not torch.equal(scaled.parameters(), before)
        assert changed if step != 20 and not STRATEGIES[strategy].skips else not (changed and step == 20)
        if step != 20:
            plain.step()
    if strategy not in ("autoclip", "zclip"):  # these remember the norm of the step that was skipped
        torch.testing.assert_close(scaled.parameters(), plain.parameters())


def test_label_smoothing_is_said_of_the_loss_wherever_it_is_set() -> None:
    said = "label_smoothing=0.1)"
    assert said in code_to_paste("norm", 0.5, RATE, {"model": {"label_smoothing": 0.1}})
    assert said in code_to_paste("norm", 0.5, RATE, {"model": {"label_smoothing": 0.0}, "label_smoothing": 0.1})
    assert "smoothing" not in code_to_paste("norm", 0.5, RATE, {"model": {"label_smoothing": 0.0}})


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_no_line_is_too_long_to_paste(strategy: str) -> None:
    code = code_to_paste(strategy, THRESHOLDS[strategy], RATE, {"guard": True})
    assert max(map(len, code.splitlines())) <= 120
    assert code.startswith(BEFORE)
    assert code.count(AFTER) == 1


@pytest.mark.parametrize("value", [0.0, 0.9, 0.99996, 0.9999995, 0.123456])
def test_averages_near_one_are_pasted_as_they_were(value: float) -> None:
    adam = code_to_paste("none", None, RATE, {"optimizer": "adam", "beta1": value, "beta2": value})
    assert Loop(adam).names["optimizer"].defaults["betas"] == (value, value)
    momentum = code_to_paste("none", None, RATE, {"optimizer": "momentum", "momentum": value})
    assert Loop(momentum).names["optimizer"].defaults["momentum"] == value
