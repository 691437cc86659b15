"""One LSTM layer of K trials, with a backward pass through time of its own.

Gates are in torch's order: input, forget, candidate, output. Shapes: K trials, T time steps, B sequences a
batch, H hidden units. The gates of one step are kept gate by gate, [4, K, B, H], so that every pointwise operation
runs over contiguous memory; only the products need [K, T, B, 4H].
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from gradstudy.models.activations import finish_tanh, tanh
from gradstudy.models.gate_inputs import GateInputs
from gradstudy.models.workspace import Workspace, start_gradient

GATES = 4
CANDIDATE = 2
"""Position of the gate that goes through tanh."""

_sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input
_tanh_backward = torch.ops.aten.tanh_backward.grad_input


@dataclass(frozen=True)
class _Step:
    """Views of the buffers of one time step; all [K, B, H] unless noted."""

    activations: Tensor
    """All gates after the logistic function, [4, K, B, H]; the candidate's is not yet a hyperbolic tangent."""
    gates: tuple[Tensor, ...]
    input_forget: Tensor
    """The first two gates, [2, K, B, H]."""
    g: Tensor
    c_before: Tensor
    partners: Tensor
    """What the input and the forget gate are multiplied with: candidate g and the cell before, [2, K, B, H]."""
    c: Tensor
    tanh_c: Tensor
    h_before: Tensor
    h: Tensor
    grad_before: Tensor
    """Gradient before the activations, [K, B, 4H]."""
    grad_input_forget: Tensor
    grad_candidate: Tensor
    grad_output: Tensor


class _Buffers:
    """One layer's buffers, and their views step by step."""

    def __init__(self, workspace: Workspace, name: str, trials: int, steps: int, batch: int, hidden: int) -> None:
        # [K, T + 1, B, H]; the first entry is the initial state.
        self.h = workspace.empty(f"{name}.h", trials, steps + 1, batch, hidden)
        # Candidate and cell before each step, [T + 1, 2, K, B, H]: the last entry holds the last cell.
        partners = workspace.empty(f"{name}.partners", steps + 1, 2, trials, batch, hidden)
        self.first_c, self.last_c = partners[0, 1], partners[steps, 1]
        activations = workspace.empty(f"{name}.gates", steps, GATES, trials, batch, hidden)
        squashed = workspace.empty(f"{name}.tanh_c", steps, trials, batch, hidden)
        self.grad_before = workspace.empty(f"{name}.grad_gates", trials, steps, batch, GATES * hidden)
        self.before = workspace.empty("lstm.before", trials, batch, GATES * hidden)
        self.before_by_gate = _by_gate(self.before)
        self.dh = workspace.empty("lstm.dh", trials, batch, hidden)
        self.dc = workspace.empty(f"{name}.dc", trials, batch, hidden)
        self.product = workspace.empty("lstm.product", trials, batch, hidden)
        self.products = workspace.empty("lstm.products", 2, trials, batch, hidden)
        self.steps = [
            _Step(
                activations=activations[t],
                gates=activations[t].unbind(0),
                input_forget=activations[t, :2],
                g=partners[t, 0],
                c_before=partners[t, 1],
                partners=partners[t],
                c=partners[t + 1, 1],
                tanh_c=squashed[t],
                h_before=self.h[:, t],
                h=self.h[:, t + 1],
                grad_before=self.grad_before[:, t],
                grad_input_forget=_by_gate(self.grad_before[:, t])[:2],
                grad_candidate=_by_gate(self.grad_before[:, t])[CANDIDATE],
                grad_output=_by_gate(self.grad_before[:, t])[3],
            )
            for t in range(steps)
        ]


def _by_gate(gates: Tensor) -> Tensor:
    """View [K, B, 4H] as [4, K, B, H]."""
    view: Tensor = gates.unflatten(-1, (GATES, -1)).movedim(-2, 0)
    return view


class _LSTM(Function):
    @staticmethod
    def forward(
        ctx: Any,
        values: Tensor,
        weight: Tensor,
        h0: Tensor,
        c0: Tensor,
        inputs: GateInputs,
        workspace: Workspace,
        name: str,
    ) -> tuple[Tensor, Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        shape = (*inputs.shape, weight.shape[1])
        buffers = workspace.views((name, *shape), lambda: _Buffers(workspace, name, *shape))
        before, before_by_gate = buffers.before, buffers.before_by_gate
        one = weight.new_ones(())
        buffers.h[:, 0] = h0
        buffers.first_c.copy_(c0)
        for t, step in enumerate(buffers.steps):
            inputs.step(t, before)
            torch.baddbmm(before, step.h_before, weight, out=before)
            torch.sigmoid(before_by_gate, out=step.activations)
            i, f, squashed, o = step.gates
            finish_tanh(squashed, one, out=step.g)
            torch.mul(f, step.c_before, out=step.c)
            torch.addcmul(step.c, i, step.g, out=step.c)
            tanh(step.c, one, out=step.tanh_c)
            torch.mul(o, step.tanh_c, out=step.h)
        ctx.buffers, ctx.weight, ctx.inputs = buffers, weight, inputs
        return buffers.h[:, 1:], buffers.h[:, -1], buffers.last_c

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        grad_outputs, grad_h, grad_c = grads
        buffers: _Buffers = ctx.buffers
        dh, dc, product, products = buffers.dh, buffers.dc, buffers.product, buffers.products
        grad_steps = None if grad_outputs is None else grad_outputs.unbind(1)
        transposed = ctx.weight.transpose(1, 2)
        start_gradient(dc, grad_c)
        start_gradient(dh, grad_h, None if grad_steps is None else grad_steps[-1])
        for t in range(len(buffers.steps) - 1, -1, -1):
            step = buffers.steps[t]
            i, f, _, o = step.gates
            torch.mul(dh, step.tanh_c, out=product)
            _sigmoid_backward(product, o, grad_input=step.grad_output)
            torch.mul(dh, o, out=product)
            _tanh_backward(product, step.tanh_c, grad_input=product)
            dc.add_(product)
            torch.mul(step.partners, dc, out=products)
            _sigmoid_backward(products, step.input_forget, grad_input=step.grad_input_forget)
            # The candidate's column is scaled by -2: d tanh(x) / d(-2x) = -(1 - g^2) / 2.
            torch.mul(dc, i, out=product)
            product.mul_(-0.5)
            _tanh_backward(product, step.g, grad_input=step.grad_candidate)
            dc.mul_(f)
            if t > 0 and grad_steps:
                torch.baddbmm(grad_steps[t - 1], step.grad_before, transposed, out=dh)
            elif t > 0:
                torch.bmm(step.grad_before, transposed, out=dh)
        grad_before = buffers.grad_before
        grad_weight = torch.bmm(buffers.h[:, :-1].flatten(1, 2).transpose(1, 2), grad_before.flatten(1, 2))
        grad_h0 = torch.bmm(buffers.steps[0].grad_before, transposed) if ctx.needs_input_grad[2] else None
        grad_c0 = dc if ctx.needs_input_grad[3] else None
        return ctx.inputs.gradient(grad_before), grad_weight, grad_h0, grad_c0, None, None, None


def lstm(
    inputs: GateInputs, weight: Tensor, h0: Tensor, c0: Tensor, workspace: Workspace, name: str
) -> tuple[Tensor, Tensor, Tensor]:
    """Run K LSTM layers over T steps.

    Args:
        inputs: projected inputs with all biases, D = 4H; the candidate's columns are multiplied by ``TANH_SCALE``.
        weight: recurrent weights, [K, H, 4H], scaled likewise.
        h0: initial hidden state, [K, B, H].
        c0: initial cell state, [K, B, H].
        workspace: where the intermediate results live until the backward pass.
        name: of this layer's buffers; two layers of one model have two names.

    Returns:
        The hidden states [K, T, B, H], the last hidden state [K, B, H] and the last cell state [K, B, H].

    Source: Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000, as ``torch.nn.LSTM``.
    """
    results: tuple[Tensor, Tensor, Tensor] = _LSTM.apply(  # type: ignore[no-untyped-call]
        inputs.values, weight, h0, c0, inputs, workspace, name
    )
    return results
