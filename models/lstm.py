"""One LSTM layer of K trials, with a backward pass through time of its own.

Gates are in torch's order: input, forget, candidate, output. Shapes: K trials, T time steps, B sequences a
batch, H hidden units. The gates of one step are kept gate by gate, [4, K, B, H], so that every pointwise operation
runs over contiguous memory; only the products need [K, T, B, 4H].
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from gradstudy.models.activations import finish_tanh, tanh
from gradstudy.models.workspace import Workspace

GATES = 4
CANDIDATE = 2
"""Position of the gate that goes through tanh."""

_sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input
_tanh_backward = torch.ops.aten.tanh_backward.grad_input


def by_gate(gates: Tensor) -> Tensor:
    """View [..., G * H] with G = 4 as [4, ..., H]."""
    view: Tensor = gates.unflatten(-1, (GATES, -1)).movedim(-2, 0)
    return view


class _LSTM(Function):
    @staticmethod
    def forward(
        ctx: Any, gates: Tensor, weight: Tensor, h0: Tensor, c0: Tensor, workspace: Workspace, name: str
    ) -> tuple[Tensor, Tensor]:
        trials, steps, batch, _ = gates.shape
        hidden = weight.shape[1]
        outputs = workspace.empty(f"{name}.h", trials, steps + 1, batch, hidden)
        cells = workspace.empty(f"{name}.c", steps + 1, trials, batch, hidden)
        activations = workspace.empty(f"{name}.gates", steps, GATES, trials, batch, hidden)
        squashed = workspace.empty(f"{name}.tanh_c", steps, trials, batch, hidden)
        before = workspace.empty("lstm.before", trials, batch, GATES * hidden)
        before_by_gate = by_gate(before)
        one = weight.new_ones(())
        outputs[:, 0] = h0
        cells[0] = c0
        h_steps, c_steps, x_steps = outputs.unbind(1), cells.unbind(0), gates.unbind(1)
        for t, (step_gates, tanh_c) in enumerate(zip(activations.unbind(0), squashed.unbind(0), strict=True)):
            torch.baddbmm(x_steps[t], h_steps[t], weight, out=before)
            torch.sigmoid(before_by_gate, out=step_gates)
            i, f, g, o = step_gates.unbind(0)
            finish_tanh(g, one)
            c = c_steps[t + 1]
            torch.mul(f, c_steps[t], out=c)
            torch.addcmul(c, i, g, out=c)
            tanh(c, one, out=tanh_c)
            torch.mul(o, tanh_c, out=h_steps[t + 1])
        ctx.saved = (weight, outputs, cells, activations, squashed)
        ctx.workspace = workspace
        ctx.name = name
        return outputs[:, 1:], cells[steps]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        grad_outputs, grad_c = grads
        weight, outputs, cells, activations, squashed = ctx.saved
        workspace: Workspace = ctx.workspace
        steps, _, trials, batch, hidden = activations.shape
        grad_gates = workspace.empty(f"{ctx.name}.grad_gates", trials, steps, batch, GATES * hidden)
        dh = workspace.empty("lstm.dh", trials, batch, hidden)
        dc = workspace.empty(f"{ctx.name}.dc", trials, batch, hidden)
        product = workspace.empty("lstm.product", trials, batch, hidden)
        dc.copy_(grad_c)
        dh.copy_(grad_outputs[:, steps - 1])
        transposed = weight.transpose(1, 2)
        grad_steps, grad_gates_steps = grad_outputs.unbind(1), grad_gates.unbind(1)
        for t in range(steps - 1, -1, -1):
            i, f, g, o = activations[t].unbind(0)
            di, df, dg, do = by_gate(grad_gates_steps[t]).unbind(0)
            tanh_c = squashed[t]
            torch.mul(dh, tanh_c, out=product)
            _sigmoid_backward(product, o, grad_input=do)
            torch.mul(dh, o, out=product)
            _tanh_backward(product, tanh_c, grad_input=product)
            dc.add_(product)
            torch.mul(dc, g, out=product)
            _sigmoid_backward(product, i, grad_input=di)
            torch.mul(dc, cells[t], out=product)
            _sigmoid_backward(product, f, grad_input=df)
            # The candidate's column is scaled by -2: d tanh(x) / d(-2x) = -(1 - g^2) / 2.
            torch.mul(dc, i, out=product)
            product.mul_(-0.5)
            _tanh_backward(product, g, grad_input=dg)
            dc.mul_(f)
            if t > 0:
                torch.baddbmm(grad_steps[t - 1], grad_gates_steps[t], transposed, out=dh)
        grad_weight = torch.bmm(outputs[:, :steps].flatten(1, 2).transpose(1, 2), grad_gates.flatten(1, 2))
        grad_h0 = torch.bmm(grad_gates_steps[0], transposed) if ctx.needs_input_grad[2] else None
        return grad_gates, grad_weight, grad_h0, dc if ctx.needs_input_grad[3] else None, None, None


def lstm(
    gates: Tensor, weight: Tensor, h0: Tensor, c0: Tensor, workspace: Workspace, name: str
) -> tuple[Tensor, Tensor, Tensor]:
    """Run K LSTM layers over T steps.

    Args:
        gates: projected inputs with all biases, [K, T, B, 4H]; the candidate's columns are multiplied by
            ``TANH_SCALE``.
        weight: recurrent weights, [K, H, 4H], scaled likewise.
        h0: initial hidden state, [K, B, H].
        c0: initial cell state, [K, B, H].
        workspace: where the intermediate results live until the backward pass.
        name: of this layer's buffers; two layers of one model have two names.

    Returns:
        The hidden states [K, T, B, H], the last hidden state [K, B, H] and the last cell state [K, B, H].

    Source: Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000, as ``torch.nn.LSTM``.
    """
    outputs, c = _LSTM.apply(gates, weight, h0, c0, workspace, name)  # type: ignore[no-untyped-call]
    return outputs, outputs[:, -1], c
