"""One GRU layer of K trials, with a backward pass through time of its own.

Gates are in torch's order: reset, update, candidate. Shapes: K trials, T time steps, B sequences a batch, H hidden
units. As in the LSTM, pointwise operations run gate by gate over contiguous memory.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from gradstudy.models.activations import finish_tanh
from gradstudy.models.workspace import Workspace

GATES = 3
CANDIDATE = 2
"""Position of the gate that goes through tanh."""

_sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input
_tanh_backward = torch.ops.aten.tanh_backward.grad_input


class _GRU(Function):
    @staticmethod
    def forward(
        ctx: Any, gates: Tensor, weight: Tensor, bias: Tensor, h0: Tensor, workspace: Workspace, name: str
    ) -> Tensor:
        trials, steps, batch, _ = gates.shape
        hidden = weight.shape[1]
        outputs = workspace.empty(f"{name}.h", trials, steps + 1, batch, hidden)
        activations = workspace.empty(f"{name}.gates", steps, GATES, trials, batch, hidden)
        recurrent = workspace.empty(f"{name}.candidate", steps, trials, batch, hidden)
        before = workspace.empty("gru.before", trials, batch, GATES * hidden)
        r_z_before = before[..., : 2 * hidden].unflatten(-1, (2, hidden)).movedim(-2, 0)
        n_before = before[..., 2 * hidden :]
        one = weight.new_ones(())
        outputs[:, 0] = h0
        r_z_inputs = gates[..., : 2 * hidden].unflatten(-1, (2, hidden)).movedim(-2, 0).unbind(2)
        n_inputs = gates[..., 2 * hidden :].unbind(1)
        h_steps = outputs.unbind(1)
        for t, (step_gates, candidate) in enumerate(zip(activations.unbind(0), recurrent.unbind(0), strict=True)):
            torch.bmm(h_steps[t], weight, out=before)
            r_z = step_gates[:2]
            torch.add(r_z_inputs[t], r_z_before, out=r_z)
            r_z.sigmoid_()
            r, z, n = step_gates.unbind(0)
            torch.add(n_before, bias, out=candidate)
            torch.addcmul(n_inputs[t], r, candidate, out=n)
            n.sigmoid_()
            finish_tanh(n, one)
            torch.lerp(n, h_steps[t], z, out=h_steps[t + 1])
        ctx.saved = (weight, outputs, activations, recurrent)
        ctx.workspace = workspace
        ctx.name = name
        return outputs[:, 1:]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad_outputs,) = grads
        weight, outputs, activations, recurrent = ctx.saved
        workspace: Workspace = ctx.workspace
        steps, _, trials, batch, hidden = activations.shape
        # Columns: recurrent candidate, reset, update, input candidate. The products with the recurrent weight take
        # the first three, the gradient of the projected inputs is the last three.
        columns = workspace.empty(f"{ctx.name}.grad_gates", trials, steps, batch, 4 * hidden)
        dh = workspace.empty("gru.dh", trials, batch, hidden)
        product = workspace.empty("gru.product", trials, batch, hidden)
        before_tanh = workspace.empty("gru.before_tanh", trials, batch, hidden)
        dh.copy_(grad_outputs[:, steps - 1])
        transposed = weight.roll(hidden, -1).transpose(1, 2)
        h_steps, grad_steps = outputs.unbind(1), grad_outputs.unbind(1)
        recurrent_steps = columns[..., : 3 * hidden].unbind(1)
        by_gate = columns.unflatten(-1, (4, hidden)).movedim(-2, 0).unbind(2)
        for t in range(steps - 1, -1, -1):
            r, z, n = activations[t].unbind(0)
            dhn, dr, dz, dn = by_gate[t].unbind(0)
            torch.sub(h_steps[t], n, out=product)
            product.mul_(dh)
            _sigmoid_backward(product, z, grad_input=dz)
            torch.mul(dh, z, out=product)
            # The candidate's column is scaled by -2: d tanh(x) / d(-2x) = -(1 - n^2) / 2.
            torch.sub(product, dh, out=before_tanh)
            before_tanh.mul_(0.5)
            _tanh_backward(before_tanh, n, grad_input=before_tanh)
            dn.copy_(before_tanh)
            torch.mul(before_tanh, r, out=dhn)
            before_tanh.mul_(recurrent[t])
            _sigmoid_backward(before_tanh, r, grad_input=dr)
            if t > 0:
                product.add_(grad_steps[t - 1])
                torch.baddbmm(product, recurrent_steps[t], transposed, out=dh)
        grad_h0 = product.baddbmm(recurrent_steps[0], transposed) if ctx.needs_input_grad[3] else None
        recurrent_columns = columns[..., : 3 * hidden].flatten(1, 2)
        grad_weight = torch.bmm(outputs[:, :steps].flatten(1, 2).transpose(1, 2), recurrent_columns)
        grad_bias = columns[..., :hidden].sum((1, 2)).unsqueeze(1)
        return columns[..., hidden:], grad_weight.roll(-hidden, -1), grad_bias, grad_h0, None, None


def gru(
    gates: Tensor, weight: Tensor, candidate_bias: Tensor, h0: Tensor, workspace: Workspace, name: str
) -> tuple[Tensor, Tensor]:
    """Run K GRU layers over T steps.

    Args:
        gates: projected inputs, [K, T, B, 3H], with every bias but ``candidate_bias``; the candidate's columns
            are multiplied by ``TANH_SCALE``.
        weight: recurrent weights, [K, H, 3H], scaled likewise.
        candidate_bias: the recurrent bias of the candidate, [K, 1, H], scaled likewise; it stands apart because
            the reset gate multiplies it.
        h0: initial hidden state, [K, B, H].
        workspace: where the intermediate results live until the backward pass.
        name: of this layer's buffers; two layers of one model have two names.

    Returns:
        The hidden states [K, T, B, H] and the last hidden state [K, B, H].

    Source: Cho et al. 2014, arXiv 1406.1078, in the form of ``torch.nn.GRU``.
    """
    outputs: Tensor = _GRU.apply(gates, weight, candidate_bias, h0, workspace, name)  # type: ignore[no-untyped-call]
    return outputs, outputs[:, -1]
