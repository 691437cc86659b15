"""Gradients in half precision, whose norms are beyond what half precision holds."""

import pytest
import torch
from thresholds import AFTER_BACKWARD, THRESHOLDS
from torch import nn

from gradstudy.models.clipping import Clipper, GradientClipper
from gradstudy.models.parameters import ParameterLayout
from gradstudy.models.strategies import STRATEGIES

HALF = [torch.float16, torch.bfloat16]
SHAPES = {"weight": (6, 40), "bias": (40,), "scale": (3,)}
BOUNDED = {**THRESHOLDS, "agc": 10.0, "norm": 500.0, "normalize": 500.0, "rms": 30.0, "spectral": 300.0}
"""Thresholds at which gradients of norms of hundreds stay large enough for float16."""

OF_TORCH = ["none", "norm", "value", "param_norm"]
"""The strategies that paste a call of torch, which finds norms in the type of the gradients."""


def gradients(dtype, step, size=100):
    """Units with norms of about six times ``size``: of 600, the squares are beyond float16."""
    generator = torch.Generator().manual_seed(step)
    return {name: (size * torch.randn(shape, generator=generator)).to(dtype) for name, shape in SHAPES.items()}


def parameters(dtype):
    generator = torch.Generator().manual_seed(99)
    return {name: nn.Parameter(torch.randn(shape, generator=generator).to(dtype)) for name, shape in SHAPES.items()}


def as_rows(values, layout, dtype):
    flat = torch.zeros(1, layout.size, dtype=dtype)
    for name, view in layout.views(flat).items():
        view[0] = values[name].detach()
    return flat


def close_to(values, expected, dtype):
    """As near as the type holds, to the parameter's largest entry."""
    for name, value in values.items():
        assert value.dtype == dtype
        size = float(expected[name].abs().max())
        torch.testing.assert_close(value.double(), expected[name], rtol=0, atol=4 * torch.finfo(dtype).eps * size)


@pytest.mark.parametrize("dtype", HALF, ids=str)
@pytest.mark.parametrize("name", AFTER_BACKWARD)
def test_every_strategy_does_what_it_does_in_double_precision(name, dtype):
    model, exact = parameters(dtype), parameters(dtype)
    exact = {key: nn.Parameter(value.detach().double()) for key, value in exact.items()}
    layout = ParameterLayout({key: (shape, 0 if len(shape) > 1 else None) for key, shape in SHAPES.items()})
    array = GradientClipper(layout, 1, 30, dtype, "cpu")
    array.assign(0, name, BOUNDED[name])
    clip, reference, norms = Clipper(name, BOUNDED[name]), Clipper(name, BOUNDED[name]), []
    for step in range(30):
        given = gradients(dtype, step)
        for key, value in given.items():
            model[key].grad, exact[key].grad = value.clone(), value.double()
        rows = as_rows(given, layout, dtype)
        norms.append((clip(model.values()), reference(exact.values())))
        array(rows, as_rows(model, layout, dtype))
        expected = {key: torch.zeros_like(p) if p.grad is None else p.grad for key, p in exact.items()}
        close_to({key: torch.zeros_like(p) if p.grad is None else p.grad for key, p in model.items()}, expected, dtype)
        close_to({key: view[0] for key, view in layout.views(rows).items()}, expected, dtype)
    for norm, of_reference in norms:
        assert float(norm) == pytest.approx(float(of_reference), rel=1e-5)


@pytest.mark.parametrize("size", [100, 5000], ids=["norms_of_hundreds", "norms_beyond_float16"])
@pytest.mark.parametrize("name", [name for name in AFTER_BACKWARD if name not in OF_TORCH])
def test_printed_lines_do_so_too(name, size):
    model, ours = (nn.ParameterDict(parameters(torch.float16)) for _ in range(2))
    printed, clip = {"torch": torch, "model": model, "loss": torch.tensor(1.0)}, Clipper(name, BOUNDED[name])
    exec(STRATEGIES[name].setup, printed)
    step_code = STRATEGIES[name].pytorch_step(BOUNDED[name])
    for step in range(30):
        for key, value in gradients(torch.float16, step, size * (3 if step == 28 else 1)).items():
            model[key].grad, ours[key].grad = value.clone(), value.clone()
        clip(ours)
        exec(step_code, printed)
        for p, q in zip(ours.parameters(), model.parameters(), strict=True):
            if STRATEGIES[name].skips and p.grad is None:
                assert q.grad is None
                continue
            torch.testing.assert_close(p.grad, q.grad, rtol=4e-3, atol=1e-3)
            assert p.grad.isfinite().all()
            assert p.grad.any()
