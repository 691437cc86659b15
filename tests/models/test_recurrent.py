"""The recurrent layers: their own backward pass through time against numerical differentiation and torch's layers."""

import pytest
import torch

from gradstudy.models.gate_inputs import dense_inputs, token_inputs
from gradstudy.models.gru import gru
from gradstudy.models.lstm import lstm
from gradstudy.models.state_clipping import StateLimits
from gradstudy.models.workspace import Workspace

K, T, B, H = 2, 4, 3, 5
NO_LIMITS = StateLimits.none(torch.float64, torch.device("cpu"))


class Anew(torch.autograd.Function):
    """Runs a layer forward again before each of gradcheck's many backward passes: its buffers serve one only."""

    @staticmethod
    def forward(ctx, run, *inputs):
        ctx.run = run
        ctx.save_for_backward(*inputs)
        return tuple(output.clone() for output in run(*inputs))

    @staticmethod
    def backward(ctx, *grads):
        inputs = [tensor.detach().requires_grad_() for tensor in ctx.saved_tensors]
        with torch.enable_grad():
            outputs = ctx.run(*inputs)
        return None, *torch.autograd.grad(outputs, inputs, grads)


def gradient_is_right(run, *inputs):
    return torch.autograd.gradcheck(lambda *given: Anew.apply(run, *given), inputs)


def draw(*shape):
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


def workspace():
    return Workspace(torch.float64, torch.device("cpu"))


def test_lstm_backward_equals_numerical_differentiation():
    torch.manual_seed(0)

    def run(gates, weight, h0, c0):
        return lstm(dense_inputs(gates), weight, h0, c0, NO_LIMITS, workspace(), "layer")

    assert gradient_is_right(run, draw(K, T, B, 4 * H), draw(K, H, 4 * H), draw(K, B, H), draw(K, B, H))


def test_gru_backward_equals_numerical_differentiation():
    torch.manual_seed(0)

    def run(gates, weight, bias, h0):
        return gru(dense_inputs(gates), weight, bias, h0, NO_LIMITS, workspace(), "layer")

    assert gradient_is_right(run, draw(K, T, B, 3 * H), draw(K, H, 3 * H), draw(K, H), draw(K, B, H))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_lstm_outputs_equal_torchs(dtype):
    torch.manual_seed(0)
    layer = torch.nn.LSTM(3, H, batch_first=True, dtype=dtype)
    x, h0, c0 = torch.randn(B, T, 3, dtype=dtype), torch.randn(1, B, H, dtype=dtype), torch.randn(1, B, H, dtype=dtype)
    expected, (h, c) = layer(x, (h0, c0))
    gates = x @ layer.weight_ih_l0.T + layer.bias_ih_l0 + layer.bias_hh_l0
    space = Workspace(dtype, torch.device("cpu"))
    outputs, last_h, last_c = lstm(
        dense_inputs(gates.transpose(0, 1).unsqueeze(0)),
        layer.weight_hh_l0.T.unsqueeze(0),
        h0,
        c0,
        StateLimits.none(dtype, torch.device("cpu")),
        space,
        "layer",
    )
    torch.testing.assert_close(outputs[0].transpose(0, 1), expected)
    torch.testing.assert_close(last_h, h)
    torch.testing.assert_close(last_c, c)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gru_outputs_equal_torchs(dtype):
    torch.manual_seed(0)
    layer = torch.nn.GRU(3, H, batch_first=True, dtype=dtype)
    x, h0 = torch.randn(B, T, 3, dtype=dtype), torch.randn(1, B, H, dtype=dtype)
    expected, h = layer(x, h0)
    outer_bias = layer.bias_hh_l0.detach().clone()
    outer_bias[2 * H :] = 0
    gates = x @ layer.weight_ih_l0.T + layer.bias_ih_l0 + outer_bias
    candidate_bias = layer.bias_hh_l0[2 * H :].view(1, H)
    space = Workspace(dtype, torch.device("cpu"))
    weight = layer.weight_hh_l0.T.unsqueeze(0)
    limits = StateLimits.none(dtype, torch.device("cpu"))
    inputs = dense_inputs(gates.transpose(0, 1).unsqueeze(0))
    outputs, last = gru(inputs, weight, candidate_bias, h0, limits, space, "layer")
    torch.testing.assert_close(outputs[0].transpose(0, 1), expected)
    torch.testing.assert_close(last, h)


def test_a_workspace_does_not_grow_for_smaller_shapes():
    space = workspace()
    large = space.empty("x", 4, 6)
    held = space.nbytes
    assert space.empty("x", 3, 5).data_ptr() == large.data_ptr()
    assert space.nbytes == held


def test_looked_up_inputs_give_the_gradient_of_the_table():
    torch.manual_seed(0)
    tokens = torch.randint(0, 6, (K, T, B))

    def run(table, weight, h0, c0):
        return lstm(token_inputs(table, tokens), weight, h0, c0, NO_LIMITS, workspace(), "layer")

    assert gradient_is_right(run, draw(K, 6, 4 * H), draw(K, H, 4 * H), draw(K, B, H), draw(K, B, H))
