"""One plain recurrent layer of K trials, with a backward pass through time of its own.

Shapes: K trials, T time steps, B sequences a batch, H hidden units. A time step is one product over the trials and one
pointwise kernel.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from gradstudy.models.cell_names import GATES as GATES_OF_CELLS
from gradstudy.models.gate_inputs import GateInputs
from gradstudy.models.kernels import bind
from gradstudy.models.state_clipping import StateLimits
from gradstudy.models.workspace import LayerBuffers, Workspace, start_gradient

GATES = GATES_OF_CELLS["rnn_tanh"]


@dataclass(frozen=True, kw_only=True)
class _Buffers(LayerBuffers):
    grad_steps: tuple[Tensor, ...]
    """The gradient before the nonlinearity of each step, [K, B, H], which the backward pass fills."""


def _make_buffers(workspace: Workspace, name: str, steps: int, trials: int, batch: int, hidden: int) -> _Buffers:
    h = workspace.empty(f"{name}.h", trials, steps + 1, batch, hidden)
    gates = workspace.empty(f"{name}.gates", trials, steps, batch, hidden)
    return _Buffers(
        before=workspace.empty("cell.before", trials, batch, hidden),
        gates=gates,
        h=h,
        dh=workspace.empty("cell.dh", trials, batch, hidden),
        nothing=workspace.empty("nothing", 0, 0, 0, 0),
        h_before=h.unbind(1),
        grad_steps=gates.unbind(1),
    )


class _RNN(Function):
    @staticmethod
    def forward(
        ctx: Any,
        values: Tensor,
        weight: Tensor,
        h0: Tensor,
        inputs: GateInputs,
        limits: StateLimits,
        workspace: Workspace,
        name: str,
        relu: bool,
    ) -> tuple[Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        steps, trials, batch = inputs.index.shape
        hidden = weight.shape[1]
        buffers = workspace.views(
            ("rnn", name, steps, trials, batch, hidden),
            lambda: _make_buffers(workspace, name, steps, trials, batch, hidden),
        )
        before, h = buffers.before, buffers.h
        h[:, 0] = h0
        step = partial(bind("rnn_forward", workspace, inputs.rows, inputs.index, before, inputs.absent, h), relu)
        for t in range(steps):
            torch.bmm(buffers.h_before[t], weight, out=before)
            step(t)
        ctx.buffers, ctx.weight, ctx.inputs, ctx.limits, ctx.workspace = buffers, weight, inputs, limits, workspace
        ctx.relu = relu
        return h[:, 1:], h[:, -1]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        grad_outputs, grad_h = grads
        inputs: GateInputs = ctx.inputs
        buffers: _Buffers = ctx.buffers
        gates, dh = buffers.gates, buffers.dh
        leaving = buffers.nothing if grad_outputs is None else grad_outputs.contiguous()
        grad_rows = torch.zeros_like(inputs.rows) if inputs.shared else buffers.nothing
        transposed = ctx.weight.transpose(1, 2)
        start_gradient(dh, grad_h)
        kept = (gates, buffers.h, inputs.index, grad_rows, inputs.absent, *ctx.limits)
        step = partial(bind("rnn_backward", ctx.workspace, leaving, dh, *kept), ctx.relu)
        for t in range(len(buffers.grad_steps) - 1, -1, -1):
            step(t)
            if t > 0:
                torch.bmm(buffers.grad_steps[t], transposed, out=dh)
        grad_values = (grad_rows if inputs.shared else gates).view(inputs.values.shape)
        grad_weight = torch.bmm(buffers.h[:, :-1].flatten(1, 2).transpose(1, 2), gates.flatten(1, 2))
        grad_h0 = torch.bmm(buffers.grad_steps[0], transposed) if ctx.needs_input_grad[2] else None
        return grad_values, grad_weight, grad_h0, None, None, None, None, None


def rnn(
    inputs: GateInputs,
    weight: Tensor,
    h0: Tensor,
    limits: StateLimits,
    workspace: Workspace,
    name: str,
    *,
    relu: bool,
) -> tuple[Tensor, Tensor]:
    """Run K plain recurrent layers over T steps.

    Args:
        inputs: projected inputs with all biases, D = H; they say which sequences are absent, where some are padded.
        weight: recurrent weights, [K, H, H].
        h0: initial hidden state, [K, B, H].
        limits: of the gradient of the hidden state at each step.
        workspace: where the intermediate results live until the backward pass.
        name: of this layer's buffers; two layers of one model have two names.
        relu: whether the nonlinearity is relu instead of tanh.

    Returns:
        The hidden states [K, T, B, H] and the last hidden state [K, B, H].

    Source: Elman 1990, as ``torch.nn.RNN``.
    """
    results: tuple[Tensor, Tensor] = _RNN.apply(  # type: ignore[no-untyped-call]
        inputs.values, weight, h0, inputs, limits, workspace, name, relu
    )
    return results
