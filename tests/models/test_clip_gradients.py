"""Clipping in a training loop beside torch's own functions, the lines that are printed, and the packages of others."""

import copy
import math

import pytest
import torch
from autoclip.torch import QuantileClip
from thresholds import AFTER_BACKWARD, THRESHOLDS
from torch import nn
from zclip import ZClip

from gradstudy.models.clipping import Clipper, clip_gradients
from gradstudy.models.clipping.memories.norm_memory import NORM_MEMORIES
from gradstudy.models.clipping.training_loop import MEMORIES
from gradstudy.models.strategies import STRATEGIES, StrategyError

STATELESS = [name for name in AFTER_BACKWARD if name not in MEMORIES]


class Model(nn.Module):
    def __init__(self, *, sparse=False):
        super().__init__()
        self.embedding = nn.Embedding(7, 4, sparse=sparse)
        self.encoder = nn.LSTM(4, 5, batch_first=True)
        self.output = nn.Linear(5, 2)
        self.scale = nn.Parameter(torch.tensor(1.0))

    def forward(self, tokens):
        return self.output(self.encoder(self.embedding(tokens))[0]) * self.scale


def twins(dtype=torch.float32, **options):
    torch.manual_seed(0)
    model = Model().to(dtype)
    other = Model(**options).to(dtype)
    other.load_state_dict(model.state_dict())
    return model, other


def backward(model, step):
    """Gradients that differ from step to step, with a spike now and then; returns the loss."""
    tokens = torch.randint(7, (4, 6), generator=torch.Generator().manual_seed(step))
    model.zero_grad()
    loss = model(tokens).square().mean() * (1 + step % 4) * (20 if step % 9 == 8 else 1)
    loss.backward()
    return loss.detach()


def gradients(model):
    return [p.grad.to_dense() for p in model.parameters() if p.grad is not None]


def stepped_by(model):
    """What an optimizer goes by: nothing where a gradient was taken away."""
    return [torch.zeros_like(p) if p.grad is None else p.grad.to_dense() for p in model.parameters()]


def same_gradients(model, other, **tolerance):
    for one, another in zip(gradients(model), gradients(other), strict=True):
        torch.testing.assert_close(one, another, **tolerance)


def norm_of(model):
    return math.sqrt(sum(float(g.double().square().sum()) for g in gradients(model)))


@pytest.mark.parametrize("name", AFTER_BACKWARD)
def test_every_strategy_does_what_its_printed_lines_do(name):
    model, ours = twins(torch.float64)
    clip, printed = Clipper(name, THRESHOLDS[name]), {"torch": torch, "model": model}
    exec(STRATEGIES[name].setup, printed)
    for step in range(60):
        printed["loss"] = backward(model, step)
        loss = backward(ours, step)
        before, norm = norm_of(model), clip(ours.parameters(), loss)
        exec(STRATEGIES[name].pytorch_step(THRESHOLDS[name]), printed)
        same_gradients(model, ours, rtol=1e-4, atol=1e-12)  # clip_grad_norm_ adds 1e-6 to a norm, Keras nothing
        assert float(norm) == pytest.approx(before)


@pytest.mark.parametrize("max_norm", [0.3, 1e9])
def test_norm_equals_torch_to_the_last_bit(max_norm):
    model, ours = twins()
    backward(model, 1)
    backward(ours, 1)
    expected = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    assert clip_gradients(ours.parameters(), "norm", max_norm) == expected
    same_gradients(model, ours, rtol=0, atol=0)


def test_value_equals_torch_to_the_last_bit():
    model, ours = twins()
    backward(model, 1)
    backward(ours, 1)
    expected = nn.utils.get_total_norm(gradients(model))
    nn.utils.clip_grad_value_(model.parameters(), 0.01)
    assert clip_gradients(ours.parameters(), "value", 0.01) == expected
    same_gradients(model, ours, rtol=0, atol=0)


@pytest.mark.parametrize("name", STATELESS)
def test_frozen_and_unused_parameters_are_passed_over(name):
    model, ours = twins()
    for one in (model, ours):
        one.encoder.weight_hh_l0.requires_grad_(False)
        backward(one, 2)
        one.scale.grad = None
    Clipper(name, THRESHOLDS[name])(p for p in ours.parameters() if p.grad is not None)
    norm = clip_gradients(model.parameters(), name, THRESHOLDS[name])
    same_gradients(model, ours, rtol=0, atol=0)
    assert len(gradients(model)) == len(list(model.parameters())) - 2
    assert model.encoder.weight_hh_l0.grad is None
    assert norm > 0


@pytest.mark.parametrize("name", AFTER_BACKWARD)
def test_without_any_gradient_the_norm_is_zero_and_nothing_is_remembered(name):
    clip = Clipper(name, THRESHOLDS[name])
    assert clip(Model().parameters()) == nn.utils.clip_grad_norm_(list(Model().parameters()), 1.0) == 0
    assert clip([]) == 0
    assert clip.state_dict()["memory"] == {}


def test_a_single_tensor_is_taken_like_a_list_of_it():
    parameter = nn.Parameter(torch.ones(3))
    parameter.grad = torch.tensor([3.0, 0.0, 4.0])
    assert clip_gradients(parameter, "norm", 1.0) == 5
    torch.testing.assert_close(parameter.grad, torch.tensor([0.6, 0.0, 0.8]))


@pytest.mark.parametrize("name", AFTER_BACKWARD)
def test_gradients_of_different_types_are_clipped_together(name):
    model, ours = twins(torch.float64)
    ours.output.to(torch.float32)
    ours.embedding.to(torch.bfloat16)
    backward(model, 3)
    for p, q in zip(ours.parameters(), model.parameters(), strict=True):
        q.grad = q.grad.bfloat16().double()
        p.grad = q.grad.to(p.dtype, copy=True)
    with torch.no_grad():
        for p, q in zip(ours.parameters(), model.parameters(), strict=True):
            q.copy_(p)
    norm, expected = (Clipper(name, THRESHOLDS[name])(one.parameters()) for one in (ours, model))
    assert float(norm) == pytest.approx(float(expected), rel=0.01)
    for p, changed, q in zip(ours.parameters(), stepped_by(ours), stepped_by(model), strict=True):
        assert changed.dtype == p.dtype
        torch.testing.assert_close(changed.double(), q, rtol=0.02, atol=1e-3)


@pytest.mark.parametrize("name", [name for name in AFTER_BACKWARD if name not in {"standardize", "spam_entry"}])
def test_sparse_gradients_are_clipped_as_dense_ones_and_stay_sparse(name):
    dense, sparse = twins(torch.float64, sparse=True)
    clips = [Clipper(name, THRESHOLDS[name]) for _ in range(2)]
    for step in range(40):
        norms = []
        for model, clip in zip((dense, sparse), clips, strict=True):
            backward(model, step)
            norms.append(clip(model.parameters()))
        assert float(norms[0]) == pytest.approx(float(norms[1]))
        assert sparse.embedding.weight.grad is None or sparse.embedding.weight.grad.is_sparse
        same_gradients(dense, sparse, rtol=1e-9, atol=1e-15)
    for model in (dense, sparse):
        torch.optim.SGD(model.parameters(), lr=1.0).step()
    torch.testing.assert_close(dense.embedding.weight, sparse.embedding.weight)


def test_what_cannot_stay_sparse_is_refused_with_the_way_out():
    _, model = twins(sparse=True)
    backward(model, 0)
    for name in ("standardize", "spam_entry"):
        with pytest.raises(TypeError, match="sparse=False"):
            Clipper(name, THRESHOLDS[name])(model.parameters())
    weight = nn.Parameter(torch.zeros(2, 2))
    weight.grad = torch.eye(2).to_sparse()
    with pytest.raises(TypeError, match="whole rows"):
        clip_gradients(weight, "norm", 1.0)


@pytest.mark.parametrize("name", AFTER_BACKWARD)
def test_clip_says_what_it_did(name):
    model, before = twins()
    clip, seen = Clipper(name, THRESHOLDS[name]), set()
    for step in range(40):
        backward(model, step)
        backward(before, step)
        result = clip.clip(model.parameters())
        differs = any((a != b).any() for a, b in zip(stepped_by(model), gradients(before), strict=True))
        assert bool(result.clipped) == differs
        assert bool(result.skipped) == (STRATEGIES[name].skips and not gradients(model))
        assert float(result.grad_norm) == pytest.approx(norm_of(before))
        assert float(result.applied_norm) == pytest.approx(norm_of(model))
        seen.add(differs)
    assert True in seen or name == "none"


@pytest.mark.parametrize("name", AFTER_BACKWARD)
def test_a_saved_clipper_goes_on_where_it_was(name, tmp_path):
    model, _ = twins()
    whole, first = (Clipper(name, THRESHOLDS[name]) for _ in range(2))
    uninterrupted = []
    for step in range(50):
        backward(model, step)
        whole(model.parameters())
        uninterrupted.append(gradients(model))
    for step in range(31):
        backward(model, step)
        first(model.parameters())
    torch.save(first.state_dict(), tmp_path / "clip.pt")
    second = Clipper(name, THRESHOLDS[name])
    second.load_state_dict(torch.load(tmp_path / "clip.pt"))
    for step in range(31, 50):
        backward(model, step)
        second(model.parameters())
        assert all(torch.equal(a, b) for a, b in zip(gradients(model), uninterrupted[step], strict=True))


def test_autoclip_remembers_more_norms_than_it_had_room_for_at_first():
    clip, parameter = Clipper("autoclip", 50.0), nn.Parameter(torch.zeros(1))
    for step in range(2100):
        parameter.grad = torch.tensor([float(step % 1000)])
        clip(parameter)
    restored = Clipper("autoclip", 50.0)
    restored.load_state_dict(clip.state_dict())
    for one in (clip, restored):
        parameter.grad = torch.tensor([1e6])
        assert float(one.clip(parameter).applied_norm) == pytest.approx(475.0)  # the median of 2,100 norms and 1e6


def test_the_state_of_another_strategy_is_refused():
    with pytest.raises(StrategyError, match=r"'zclip'.*'autoclip'"):
        Clipper("autoclip", 10.0).load_state_dict(Clipper("zclip", 2.5).state_dict())


def test_strategies_with_memory_need_a_clipper():
    with pytest.raises(StrategyError, match=r"Clipper\('zclip', threshold\)"):
        clip_gradients(Model().parameters(), "zclip", 2.5)


@pytest.mark.parametrize(("strategy", "threshold"), [("norms", 1.0), ("norm", None), ("norm", -1.0), ("none", 1.0)])
def test_wrong_settings_are_refused(strategy, threshold):
    with pytest.raises(StrategyError):
        clip_gradients(Model().parameters(), strategy, threshold)


def test_zclip_equals_the_package_of_its_authors():
    model, ours = twins(torch.float64)
    theirs, clip = ZClip(z_thresh=1.5, max_grad_norm=None), Clipper("zclip", 1.5)
    clipped = 0
    for step in range(80):
        backward(model, step)
        backward(ours, step)
        before = model.scale.grad.clone()
        norm = theirs.step(model)
        assert float(clip(ours.parameters())) == pytest.approx(norm)
        same_gradients(model, ours, rtol=1e-9, atol=1e-15)
        clipped += not torch.equal(before, model.scale.grad)
    assert clipped > 3


def test_autoclip_clips_at_the_quantile_that_the_package_uses_one_step_later():
    """The package leaves the norm at hand out of the quantile, the paper does not: it is one step behind."""
    theirs, ours = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
    package = QuantileClip([theirs], quantile=0.7, global_threshold=True)
    clip = Clipper("autoclip", 70.0)
    norms = torch.rand(60, generator=torch.Generator().manual_seed(0)).cumsum(0)  # rising: each is clipped
    clipped = []
    for norm in norms:
        ours.grad, theirs.grad = norm[None].clone(), norm[None].clone()
        clip(ours)
        package.step()
        clipped.append((float(ours.grad), float(theirs.grad)))
    at_once, a_step_later = zip(*clipped, strict=True)
    assert a_step_later[1:] == pytest.approx(at_once[:-1], rel=1e-4)
    assert a_step_later[0] == norms[0]


def test_with_a_grad_scaler_overflowing_steps_are_skipped_and_leave_no_trace():
    model, plain = twins(torch.float64)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    reference = torch.optim.SGD(plain.parameters(), lr=0.1)
    clips = [Clipper("zclip", 0.8) for _ in range(2)]
    for step in range(45):
        tokens = torch.randint(7, (4, 6), generator=torch.Generator().manual_seed(step))
        broken = step % 10 == 3
        optimizer.zero_grad()
        for half in tokens.chunk(2):  # gradient accumulation
            loss = model(half).square().mean() / 2 * (math.inf if broken else 1)
            scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        norm = clips[0](model.parameters())
        scaler.step(optimizer)
        scaler.update()
        assert bool(norm.isfinite()) != broken
        if not broken:
            reference.zero_grad()
            plain(tokens).square().mean().backward()
            clips[1](plain.parameters())
            reference.step()
        for p, q in zip(model.parameters(), plain.parameters(), strict=True):
            torch.testing.assert_close(p, q, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(clips[0].state_dict()["memory"], clips[1].state_dict()["memory"], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "clip", [lambda p: clip_gradients(p, "norm", 1.0), Clipper("zclip", 2.0), Clipper("none").clip]
)
def test_what_holds_no_parameters_is_said(clip):
    model = torch.nn.Linear(2, 3)
    used_up = model.parameters()
    assert len(list(used_up)) == 2
    with pytest.raises(ValueError, match="the iterator of parameters is at its end"):
        clip(used_up)
    with pytest.raises(TypeError, match=r"such as model\.parameters\(\), but got int$"):
        clip(3)
    with pytest.raises(TypeError, match=r"such as model\.parameters\(\), but one of them is dict$"):
        clip(torch.optim.SGD(model.parameters(), 0.1).param_groups)
    assert float(clip_gradients([], "norm", 1.0)) == 0


@pytest.mark.parametrize("given", [lambda model: model, nn.Module.named_parameters, lambda m: m.parameters()])
def test_a_module_or_its_named_parameters_are_taken(given):
    model, ours = twins()
    backward(model, 1)
    backward(ours, 1)
    clip_gradients(list(model.parameters()), "norm", 0.3)
    clip_gradients(given(ours), "norm", 0.3)
    same_gradients(model, ours, rtol=0, atol=0)


@pytest.mark.parametrize("name", [name for name in STRATEGIES if name in MEMORIES and name not in NORM_MEMORIES])
def test_a_memory_of_each_parameter_is_not_mixed_up_by_other_parameters(name):
    model, _ = twins()
    clip = Clipper(name, THRESHOLDS[name])
    backward(model, 0)
    clip(model)
    with pytest.raises(ValueError, match="remembers each of 8 parameters, but got 7"):
        clip(list(model.parameters())[1:])


@pytest.mark.parametrize("name", ["skip_norm", "skip_z"])
def test_a_skipped_step_changes_neither_parameters_nor_optimizer(name):
    model, _ = twins()
    clip, optimizer = Clipper(name, 3.0), torch.optim.AdamW(model.parameters(), weight_decay=0.5)
    skipped = 0
    for step in range(40):
        optimizer.zero_grad()
        loss = backward(model, step)
        if step % 9 == 8:
            for p in model.parameters():
                p.grad.mul_(1e3)
        before = copy.deepcopy((model.state_dict(), optimizer.state_dict()))
        result = clip.clip(model, loss)
        optimizer.step()
        same = all(torch.equal(a, b) for a, b in zip(before[0].values(), model.state_dict().values(), strict=True))
        assert same == bool(result.skipped)
        if same:
            torch.testing.assert_close(optimizer.state_dict(), before[1], rtol=0, atol=0)
        skipped += same
    assert 0 < skipped < 20
