"""Compiled kernels: elementary functions against the C library's, and each kernel against its form in torch."""

import numpy as np
import pytest
import torch
from numba import njit

from gradstudy.models import compiled_math
from gradstudy.models.cell_names import RECURRENT_CELLS
from gradstudy.models.gate_inputs import token_inputs
from gradstudy.models.gru import gru
from gradstudy.models.layers import cross_entropy
from gradstudy.models.lstm import lstm
from gradstudy.models.rnn import rnn
from gradstudy.models.state_clipping import StateLimits
from gradstudy.models.workspace import Workspace

K, T, B, H, V = 3, 4, 5, 7, 6


def over(function):
    """The function over an array."""

    @njit
    def apply(x, out):
        for j in range(x.shape[0]):
            out[j] = function(x[j])

    def run(x):
        out = np.empty_like(x)
        apply(x, out)
        return out

    return run


def relative_error(found, expected):
    return np.max(np.abs(found - expected) / np.abs(expected))


@pytest.mark.parametrize(("dtype", "bound"), [(np.float32, 3e-7), (np.float64, 1e-15)])
def test_elementary_functions_are_accurate_over_their_range(dtype, bound):
    negative = -np.logspace(-6, np.log10(80), 100_001).astype(dtype)
    both = np.concatenate([negative, -negative])
    exact = both.astype(np.float64)
    assert relative_error(over(compiled_math.exp)(negative), np.exp(negative.astype(np.float64))) < bound
    assert relative_error(over(compiled_math.sigmoid)(both), 1 / (1 + np.exp(-exact))) < bound
    assert relative_error(over(compiled_math.tanh)(both), np.tanh(exact)) < bound


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_elementary_functions_far_out(dtype):
    far = np.array([-np.inf, -1e4, 1e4, np.inf, np.nan], dtype)
    assert over(compiled_math.sigmoid)(far).tolist()[:4] == [0, 0, 1, 1]
    assert over(compiled_math.tanh)(far).tolist()[:4] == [-1, -1, 1, 1]
    assert np.isnan(over(compiled_math.sigmoid)(far)[4])
    assert np.isnan(over(compiled_math.tanh)(far)[4])


def results(cell, dtype, compiled):
    """Loss and gradients of one recurrent layer with a cross-entropy on top."""
    torch.manual_seed(0)
    gates, plain = {"lstm": 4, "gru": 3}.get(cell, 1), cell.startswith("rnn")
    scale = 0.3 if plain else 1.0  # without gates, large weights make states chaotic
    space = Workspace(dtype, torch.device("cpu"), compiled=compiled)
    table, weight, h0, c0 = (
        (scale * torch.randn(*shape, dtype=torch.float64)).to(dtype).requires_grad_()
        for shape in ((K, V, gates * H), (K, H, gates * H), (K, B, H), (K, B, H))
    )
    limits = StateLimits.none(torch.float64 if dtype == torch.float64 else torch.float32, torch.device("cpu"))
    inputs = token_inputs(table, torch.randint(0, V, (K, T, B)))
    if cell == "lstm":
        outputs, h, c = lstm(inputs, weight, h0, c0, limits, space, "layer")
        last = h + c
    elif plain:
        outputs, last = rnn(inputs, weight, h0, limits, space, "layer", relu=cell == "rnn_relu")
    else:
        outputs, last = gru(inputs, weight, c0[:, 0], h0, limits, space, "layer")
    targets = torch.randint(0, H, (K, T * B))
    loss = cross_entropy(outputs.flatten(1, 2).clone(), targets, targets > 1, space) + last.sum((1, 2))
    inputs_of = [table, weight, h0, c0][: 3 if plain else 4]
    return [loss.detach(), *torch.autograd.grad(loss.sum(), inputs_of)]


@pytest.mark.parametrize("cell", RECURRENT_CELLS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_both_forms_of_a_kernel_do_the_same(cell, dtype):
    torch.testing.assert_close(results(cell, dtype, compiled=True), results(cell, dtype, compiled=False))


@pytest.mark.parametrize("cell", RECURRENT_CELLS)
def test_bfloat16_is_computed_by_torch_operations(cell):
    expected = results(cell, torch.float64, compiled=True)
    found = [tensor.double() for tensor in results(cell, torch.bfloat16, compiled=None)]
    for a, b in zip(found, expected, strict=True):
        assert torch.linalg.vector_norm(a - b) < 0.05 * torch.linalg.vector_norm(b)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("relu", [False, True])
def test_a_plain_layer_hides_no_state_that_is_not_a_number(dtype, relu):
    table = torch.tensor([[[1.0, torch.nan, torch.inf, -torch.inf]]], dtype=dtype)
    inputs = token_inputs(table, torch.zeros(1, 1, 1, dtype=torch.int64))
    state, limits = torch.zeros(1, 1, 4, dtype=dtype), StateLimits.none(dtype, torch.device("cpu"))
    space = Workspace(dtype, torch.device("cpu"), compiled=True)
    outputs, _ = rnn(inputs, torch.zeros(1, 4, 4, dtype=dtype), state, limits, space, "layer", relu=relu)
    expected = torch.relu(table) if relu else torch.tanh(table)
    torch.testing.assert_close(outputs[0, 0], expected[0], equal_nan=True)
