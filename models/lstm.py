"""One LSTM layer of K trials, with a backward pass through time of its own.

Gates are in torch's order: input, forget, candidate, output. Shapes: K trials, T time steps, B sequences a
batch, H hidden units. A time step is one product over the trials and one pointwise kernel.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from gradstudy.models.cell_names import GATES as GATES_OF_CELLS
from gradstudy.models.gate_inputs import GateInputs
from gradstudy.models.kernels import bind
from gradstudy.models.state_clipping import StateLimits
from gradstudy.models.workspace import LayerBuffers, Workspace, start_gradient

GATES = GATES_OF_CELLS["lstm"]


@dataclass(frozen=True, kw_only=True)
class _Buffers(LayerBuffers):
    c: Tensor
    tanh_c: Tensor
    dc: Tensor
    grad_steps: tuple[Tensor, ...]
    """The gates of each step, [K, B, 4H], which hold the gradient before the activations in the backward pass."""


def _make_buffers(workspace: Workspace, name: str, steps: int, trials: int, batch: int, hidden: int) -> _Buffers:
    h = workspace.empty(f"{name}.h", trials, steps + 1, batch, hidden)
    gates = workspace.empty(f"{name}.gates", trials, steps, batch, GATES * hidden)
    return _Buffers(
        before=workspace.empty("cell.before", trials, batch, GATES * hidden),
        gates=gates,
        c=workspace.empty(f"{name}.c", trials, steps + 1, batch, hidden),
        tanh_c=workspace.empty(f"{name}.tanh_c", trials, steps, batch, hidden),
        h=h,
        dh=workspace.empty("cell.dh", trials, batch, hidden),
        dc=workspace.empty(f"{name}.dc", trials, batch, hidden),
        nothing=workspace.empty("nothing", 0, 0, 0, 0),
        h_before=h.unbind(1),
        grad_steps=gates.unbind(1),
    )


class _LSTM(Function):
    @staticmethod
    def forward(
        ctx: Any,
        values: Tensor,
        weight: Tensor,
        h0: Tensor,
        c0: Tensor,
        inputs: GateInputs,
        limits: StateLimits,
        workspace: Workspace,
        name: str,
    ) -> tuple[Tensor, Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        steps, trials, batch = inputs.index.shape
        hidden = weight.shape[1]
        buffers = workspace.views(
            ("lstm", name, steps, trials, batch, hidden),
            lambda: _make_buffers(workspace, name, steps, trials, batch, hidden),
        )
        before, gates, c, tanh_c, h = buffers.before, buffers.gates, buffers.c, buffers.tanh_c, buffers.h
        h[:, 0] = h0
        c[:, 0] = c0
        step = bind("lstm_forward", workspace, inputs.rows, inputs.index, before, gates, c, tanh_c, h)
        for t in range(steps):
            torch.bmm(buffers.h_before[t], weight, out=before)
            step(t)
        ctx.buffers, ctx.weight, ctx.inputs, ctx.limits, ctx.workspace = buffers, weight, inputs, limits, workspace
        return h[:, 1:], h[:, -1], c[:, -1]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        grad_outputs, grad_h, grad_c = grads
        inputs: GateInputs = ctx.inputs
        buffers: _Buffers = ctx.buffers
        gates, dh, dc = buffers.gates, buffers.dh, buffers.dc
        leaving = buffers.nothing if grad_outputs is None else grad_outputs.contiguous()
        grad_rows = torch.zeros_like(inputs.rows) if inputs.shared else buffers.nothing
        transposed = ctx.weight.transpose(1, 2)
        start_gradient(dh, grad_h)
        start_gradient(dc, grad_c)
        kept = (gates, buffers.c, buffers.tanh_c, inputs.index)
        rules = (inputs.absent, *ctx.limits)
        step = bind("lstm_backward", ctx.workspace, leaving, dh, dc, *kept, grad_rows, *rules)
        for t in range(len(buffers.grad_steps) - 1, -1, -1):
            step(t)
            if t > 0:
                torch.bmm(buffers.grad_steps[t], transposed, out=dh)
        grad_values = (grad_rows if inputs.shared else gates).view(inputs.values.shape)
        grad_weight = torch.bmm(buffers.h[:, :-1].flatten(1, 2).transpose(1, 2), gates.flatten(1, 2))
        grad_h0 = torch.bmm(buffers.grad_steps[0], transposed) if ctx.needs_input_grad[2] else None
        grad_c0 = dc if ctx.needs_input_grad[3] else None
        return grad_values, grad_weight, grad_h0, grad_c0, None, None, None, None


def lstm(
    inputs: GateInputs,
    weight: Tensor,
    h0: Tensor,
    c0: Tensor,
    limits: StateLimits,
    workspace: Workspace,
    name: str,
) -> tuple[Tensor, Tensor, Tensor]:
    """Run K LSTM layers over T steps.

    Args:
        inputs: projected inputs with all biases, D = 4H.
        weight: recurrent weights, [K, H, 4H].
        h0: initial hidden state, [K, B, H].
        c0: initial cell state, [K, B, H].
        limits: of the gradients of hidden and cell state at each step.
        workspace: where the intermediate results live until the backward pass.
        name: of this layer's buffers; two layers of one model have two names.

    Returns:
        The hidden states [K, T, B, H], the last hidden state [K, B, H] and the last cell state [K, B, H].

    Source: Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000, as ``torch.nn.LSTM``.
    """
    results: tuple[Tensor, Tensor, Tensor] = _LSTM.apply(  # type: ignore[no-untyped-call]
        inputs.values, weight, h0, c0, inputs, limits, workspace, name
    )
    return results
