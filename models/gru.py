"""One GRU layer of K trials, with a backward pass through time of its own.

Gates are in torch's order: reset, update, candidate. Shapes: K trials, T time steps, B sequences a batch, H hidden
units. As in the LSTM, pointwise operations run gate by gate over contiguous memory.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from gradstudy.models.activations import finish_tanh
from gradstudy.models.gate_inputs import GateInputs
from gradstudy.models.workspace import Workspace, start_gradient

GATES = 3
CANDIDATE = 2
"""Position of the gate that goes through tanh."""

_sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input
_tanh_backward = torch.ops.aten.tanh_backward.grad_input


@dataclass(frozen=True)
class _Step:
    """Views of the buffers of one time step; all [K, B, H] unless noted."""

    r_z: Tensor
    """Reset and update gate, [2, K, B, H]."""
    gates: tuple[Tensor, ...]
    candidate: Tensor
    """The recurrent part of the candidate, before the reset gate."""
    h_before: Tensor
    h: Tensor
    grad_recurrent: Tensor
    """Gradient of the recurrent product; columns candidate, reset, update, [K, B, 3H]."""
    grad_columns: tuple[Tensor, ...]


class _Buffers:
    """One layer's buffers, and their views step by step."""

    def __init__(self, workspace: Workspace, name: str, trials: int, steps: int, batch: int, hidden: int) -> None:
        # h: [K, T + 1, B, H]; the first entry is the initial state.
        self.h = workspace.empty(f"{name}.h", trials, steps + 1, batch, hidden)
        activations = workspace.empty(f"{name}.gates", steps, GATES, trials, batch, hidden)
        candidates = workspace.empty(f"{name}.candidate", steps, trials, batch, hidden)
        # Columns: recurrent candidate, reset, update, input candidate. The products with the recurrent weight take
        # the first three, the gradient of the projected inputs is the last three.
        self.columns = workspace.empty(f"{name}.grad_gates", trials, steps, batch, 4 * hidden)
        self.recurrent_columns = self.columns[..., : 3 * hidden]
        self.input = workspace.empty("gru.input", trials, batch, GATES * hidden)
        self.before = workspace.empty("gru.before", trials, batch, GATES * hidden)
        self.r_z_input, self.n_input = _split(self.input, hidden)
        self.r_z_before, self.n_before = _split(self.before, hidden)
        self.dh = workspace.empty("gru.dh", trials, batch, hidden)
        self.product = workspace.empty("gru.product", trials, batch, hidden)
        self.before_tanh = workspace.empty("gru.before_tanh", trials, batch, hidden)
        self.steps = [
            _Step(
                r_z=activations[t, :2],
                gates=activations[t].unbind(0),
                candidate=candidates[t],
                h_before=self.h[:, t],
                h=self.h[:, t + 1],
                grad_recurrent=self.recurrent_columns[:, t],
                grad_columns=self.columns[:, t].unflatten(-1, (4, hidden)).unbind(-2),
            )
            for t in range(steps)
        ]


def _split(gates: Tensor, hidden: int) -> tuple[Tensor, Tensor]:
    """View [K, B, 3H] as reset and update [2, K, B, H] and candidate [K, B, H]."""
    return gates[..., : 2 * hidden].unflatten(-1, (2, hidden)).movedim(-2, 0), gates[..., 2 * hidden :]


class _GRU(Function):
    @staticmethod
    def forward(
        ctx: Any,
        values: Tensor,
        weight: Tensor,
        bias: Tensor,
        h0: Tensor,
        inputs: GateInputs,
        workspace: Workspace,
        name: str,
    ) -> tuple[Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        shape = (*inputs.shape, weight.shape[1])
        buffers = workspace.views((name, *shape), lambda: _Buffers(workspace, name, *shape))
        one = weight.new_ones(())
        buffers.h[:, 0] = h0
        for t, step in enumerate(buffers.steps):
            inputs.step(t, buffers.input)
            torch.bmm(step.h_before, weight, out=buffers.before)
            torch.add(buffers.r_z_input, buffers.r_z_before, out=step.r_z)
            step.r_z.sigmoid_()
            r, z, n = step.gates
            torch.add(buffers.n_before, bias, out=step.candidate)
            torch.addcmul(buffers.n_input, r, step.candidate, out=n)
            n.sigmoid_()
            finish_tanh(n, one, n)
            torch.lerp(n, step.h_before, z, out=step.h)
        ctx.buffers, ctx.weight, ctx.inputs = buffers, weight, inputs
        return buffers.h[:, 1:], buffers.h[:, -1]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        grad_outputs, grad_h = grads
        grad_steps = None if grad_outputs is None else grad_outputs.unbind(1)
        buffers: _Buffers = ctx.buffers
        dh, product, before_tanh = buffers.dh, buffers.product, buffers.before_tanh
        hidden = dh.shape[2]
        transposed = ctx.weight.roll(hidden, -1).transpose(1, 2)
        start_gradient(dh, grad_h, None if grad_steps is None else grad_steps[-1])
        for t in range(len(buffers.steps) - 1, -1, -1):
            step = buffers.steps[t]
            r, z, n = step.gates
            dhn, dr, dz, dn = step.grad_columns
            torch.sub(step.h_before, n, out=product)
            product.mul_(dh)
            _sigmoid_backward(product, z, grad_input=dz)
            torch.mul(dh, z, out=product)
            # The candidate's column is scaled by -2: d tanh(x) / d(-2x) = -(1 - n^2) / 2.
            torch.sub(product, dh, out=before_tanh)
            before_tanh.mul_(0.5)
            _tanh_backward(before_tanh, n, grad_input=before_tanh)
            dn.copy_(before_tanh)
            torch.mul(before_tanh, r, out=dhn)
            before_tanh.mul_(step.candidate)
            _sigmoid_backward(before_tanh, r, grad_input=dr)
            if t > 0:
                if grad_steps:
                    product.add_(grad_steps[t - 1])
                torch.baddbmm(product, step.grad_recurrent, transposed, out=dh)
        grad_h0 = product.baddbmm(buffers.steps[0].grad_recurrent, transposed) if ctx.needs_input_grad[3] else None
        recurrent = buffers.recurrent_columns.flatten(1, 2)
        grad_weight = torch.bmm(buffers.h[:, :-1].flatten(1, 2).transpose(1, 2), recurrent).roll(-hidden, -1)
        grad_bias = recurrent[..., :hidden].sum(1, keepdim=True)
        grad_values = ctx.inputs.gradient(buffers.columns[..., hidden:])
        return grad_values, grad_weight, grad_bias, grad_h0, None, None, None


def gru(
    inputs: GateInputs, weight: Tensor, candidate_bias: Tensor, h0: Tensor, workspace: Workspace, name: str
) -> tuple[Tensor, Tensor]:
    """Run K GRU layers over T steps.

    Args:
        inputs: projected inputs, D = 3H, with every bias but ``candidate_bias``; the candidate's columns are
            multiplied by ``TANH_SCALE``.
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
    results: tuple[Tensor, Tensor] = _GRU.apply(  # type: ignore[no-untyped-call]
        inputs.values, weight, candidate_bias, h0, inputs, workspace, name
    )
    return results
