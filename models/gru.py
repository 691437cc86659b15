"""One GRU layer of K trials, with a backward pass through time of its own.

Gates are in torch's order: reset, update, candidate. Shapes: K trials, T time steps, B sequences a batch, H hidden
units. A time step is one product over the trials and one pointwise kernel.
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

GATES = GATES_OF_CELLS["gru"]


@dataclass(frozen=True, kw_only=True)
class _Buffers(LayerBuffers):
    direct: Tensor
    grad_recurrent: tuple[Tensor, ...]
    """The first three blocks of each step's gates, [K, B, 3H], which hold the gradient of the recurrent product in the
    backward pass: candidate, reset, update."""


def _make_buffers(workspace: Workspace, name: str, steps: int, trials: int, batch: int, hidden: int) -> _Buffers:
    h = workspace.empty(f"{name}.h", trials, steps + 1, batch, hidden)
    gates = workspace.empty(f"{name}.gates", trials, steps, batch, 4 * hidden)
    return _Buffers(
        before=workspace.empty("cell.before", trials, batch, GATES * hidden),
        gates=gates,
        h=h,
        dh=workspace.empty("cell.dh", trials, batch, hidden),
        direct=workspace.empty(f"{name}.direct", trials, batch, hidden),
        nothing=workspace.empty("nothing", 0, 0, 0, 0),
        h_before=h.unbind(1),
        grad_recurrent=gates[..., : 3 * hidden].unbind(1),
    )


class _GRU(Function):
    @staticmethod
    def forward(
        ctx: Any,
        values: Tensor,
        weight: Tensor,
        bias: Tensor,
        h0: Tensor,
        inputs: GateInputs,
        limits: StateLimits,
        workspace: Workspace,
        name: str,
    ) -> tuple[Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        steps, trials, batch = inputs.index.shape
        hidden = weight.shape[1]
        buffers = workspace.views(
            ("gru", name, steps, trials, batch, hidden),
            lambda: _make_buffers(workspace, name, steps, trials, batch, hidden),
        )
        before, gates, h = buffers.before, buffers.gates, buffers.h
        h[:, 0] = h0
        outer = bias.detach().contiguous()
        step = bind("gru_forward", workspace, inputs.rows, inputs.index, before, outer, gates, h)
        for t in range(steps):
            torch.bmm(buffers.h_before[t], weight, out=before)
            step(t)
        ctx.buffers, ctx.weight, ctx.inputs, ctx.limits, ctx.workspace = buffers, weight, inputs, limits, workspace
        return h[:, 1:], h[:, -1]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        grad_outputs, grad_h = grads
        inputs: GateInputs = ctx.inputs
        buffers: _Buffers = ctx.buffers
        gates, dh, direct = buffers.gates, buffers.dh, buffers.direct
        hidden = dh.shape[2]
        leaving = buffers.nothing if grad_outputs is None else grad_outputs.contiguous()
        grad_rows = torch.zeros_like(inputs.rows) if inputs.shared else buffers.nothing
        transposed = ctx.weight.roll(hidden, -1).transpose(1, 2)
        start_gradient(dh, grad_h)
        direct.zero_()
        kept = (gates, buffers.h, inputs.index)
        rules = (inputs.absent, *ctx.limits)
        step = bind("gru_backward", ctx.workspace, leaving, dh, direct, *kept, grad_rows, *rules)
        for t in range(len(buffers.grad_recurrent) - 1, -1, -1):
            step(t)
            if t > 0:
                torch.bmm(buffers.grad_recurrent[t], transposed, out=dh)
        grad_values = grad_rows.view(inputs.values.shape) if inputs.shared else gates[..., hidden:]
        recurrent = gates[..., : 3 * hidden].flatten(1, 2)
        grad_weight = torch.bmm(buffers.h[:, :-1].flatten(1, 2).transpose(1, 2), recurrent).roll(-hidden, -1)
        grad_bias = recurrent[..., :hidden].sum(1)
        grad_h0 = torch.baddbmm(direct, buffers.grad_recurrent[0], transposed) if ctx.needs_input_grad[3] else None
        return grad_values, grad_weight, grad_bias, grad_h0, None, None, None, None


def gru(
    inputs: GateInputs,
    weight: Tensor,
    candidate_bias: Tensor,
    h0: Tensor,
    limits: StateLimits,
    workspace: Workspace,
    name: str,
) -> tuple[Tensor, Tensor]:
    """Run K GRU layers over T steps.

    Args:
        inputs: projected inputs, D = 3H, with every bias but ``candidate_bias``.
        weight: recurrent weights, [K, H, 3H].
        candidate_bias: the recurrent bias of the candidate, [K, H]; it stands apart because the reset gate
            multiplies it.
        h0: initial hidden state, [K, B, H].
        limits: of the gradient of the hidden state at each step.
        workspace: where the intermediate results live until the backward pass.
        name: of this layer's buffers; two layers of one model have two names.

    Returns:
        The hidden states [K, T, B, H] and the last hidden state [K, B, H].

    Source: Cho et al. 2014, arXiv 1406.1078, in the form of ``torch.nn.GRU``.
    """
    results: tuple[Tensor, Tensor] = _GRU.apply(  # type: ignore[no-untyped-call]
        inputs.values, weight, candidate_bias, h0, inputs, limits, workspace, name
    )
    return results
