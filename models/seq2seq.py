"""The encoder-decoder: K models of one shape as one program.

Sources and targets are symbols or vectors of real values.

Shapes: K trials, B sequences a batch, S source positions, U target positions, H hidden units, V symbols, F real values.
"""

import math
from typing import Literal

import torch
from torch import Tensor

from gradstudy.models.dropout import dropout
from gradstudy.models.gate_inputs import dense_inputs, token_inputs
from gradstudy.models.gru import gru
from gradstudy.models.layers import affine, cross_entropy, value_loss
from gradstudy.models.lstm import lstm
from gradstudy.models.model_shape import BEGIN, GATES, PAD, Batch, ModelShape, ValueBatch, parameter_layout
from gradstudy.models.rnn import rnn
from gradstudy.models.state_clipping import StateLimits
from gradstudy.models.workspace import Workspace

_CLOSED = 1e4
"""A pre-activation at which the logistic function is exactly 1, and exactly 0 at its negative."""


class EncoderDecoder:
    """An encoder-decoder with teacher forcing, over a trial axis.

    Parameters carry the names of the torch modules that they correspond to (``encoder_embedding``, ``encoder``,
    ``decoder_embedding``, ``decoder``, ``attention``, ``output``); weights that torch keeps as [out, in] are [in, out].
    """

    def __init__(self, shape: ModelShape, workspace: Workspace) -> None:
        self.shape = shape
        self.workspace = workspace
        self.layout = parameter_layout(shape)
        cell, hidden = shape.cell, shape.hidden_size
        # Padding closes the LSTM's input gate, or holds the GRU's update gate open, so that the state stays at its
        # initial zero until a source begins, and no gradient passes. An RNN has no gates; it is told who is absent.
        gate, value = (0, -_CLOSED) if cell == "lstm" else (1, _CLOSED)
        self._closed = torch.zeros(GATES[cell] * hidden, dtype=workspace.dtype, device=workspace.device)
        self._closed[gate * hidden : (gate + 1) * hidden] = value

    def initialize(self, seed: int, dtype: torch.dtype) -> Tensor:
        """Draw one model's parameters [P] as torch's modules do, built in layout order after ``manual_seed(seed)``.

        Embeddings are standard normal, recurrent parameters uniform in +-1/sqrt(H), linear ones in
        +-1/sqrt(inputs). A dense model is drawn as Keras does with ``he_uniform`` in its dense layers (He et al. 2015,
        arXiv 1502.01852): weights uniform in +-sqrt(6 / inputs), those of the output layer in
        +-sqrt(6 / (inputs + outputs)) (Glorot and Bengio 2010), biases zero.

        With ``forget_bias`` an LSTM's forget gates begin with that bias (Gers et al. 2000; Jozefowicz et al. 2015):
        it is in ``bias_ih``, and their ``bias_hh`` is zero. Nothing else is drawn differently.
        """
        generator = torch.Generator().manual_seed(seed)
        flat = torch.zeros(1, self.layout.size, dtype=dtype)
        for parameter in self.layout.parameters:
            view = parameter.view(flat)[0]
            torch_order = view.T if parameter.unit_axis == 1 else view
            drawn = torch.empty(torch_order.shape, dtype=view.dtype)
            module = parameter.name.partition(".")[0]
            if module.endswith("_embedding"):
                drawn.normal_(generator=generator)
            else:
                bound = self._bound(module, parameter.shape)
                drawn.uniform_(-bound, bound, generator=generator)
            torch_order.copy_(drawn)
        if self.shape.cell == "lstm" and self.shape.forget_bias is not None:
            self._set_forget_bias(flat, self.shape.forget_bias)
        return flat[0].to(self.workspace.device)

    def _set_forget_bias(self, flat: Tensor, bias: float) -> None:
        """Set it in the parameters [1, P]; the forget gate is the second of torch's order."""
        gate = slice(self.shape.hidden_size, 2 * self.shape.hidden_size)
        for name, view in self.layout.views(flat).items():
            if ".bias_ih" in name or ".bias_hh" in name:
                view[:, gate] = bias if ".bias_ih" in name else 0.0

    def _bound(self, module: str, shape: tuple[int, ...]) -> float:
        """The largest absolute value that a parameter of this shape begins with."""
        if self.shape.cell != "dense":
            inputs = 2 * self.shape.hidden_size if module == "attention" else self.shape.hidden_size
            return 1 / math.sqrt(inputs)
        if len(shape) == 1:
            return 0.0
        return math.sqrt(6 / (sum(shape) if module == "output" else shape[0]))

    def loss(
        self,
        parameters: dict[str, Tensor],
        batch: Batch,
        dropout_keys: Tensor | None = None,
        limits: StateLimits | None = None,
    ) -> Tensor:
        """The loss of each trial under teacher forcing, [K]: of symbols token-mean cross-entropy in nats.

        Of real values it is the mean error over all target values. The decoder then reads the value before the one
        that it is to give, first the last one of the source.

        Args:
            parameters: the layout's views, each [K, ...].
            batch: one batch of each trial.
            dropout_keys: one 64-bit integer for each trial and step, [K]; None switches dropout off.
            limits: of the gradients of recurrent states in the backward pass; None for none.
        """
        shape = self.shape
        limits = limits or StateLimits.none(self.workspace.dtype, self.workspace.device)
        source, inputs, padding = self._steps(batch)
        trials, length, size = source.shape[:3]
        from_end = torch.arange(length - 1, -1, -1, device=source.device)
        positions = from_end[-1:]
        if shape.cell == "dense":
            hidden = self._dense(parameters, source[:, -1:], dropout_keys, positions)
        else:
            zeros = self._closed.new_zeros(trials, size, shape.hidden_size)
            start = [(zeros, zeros)] * shape.layers
            memory, states = self._stack("encoder", parameters, source, start, dropout_keys, from_end, padding, limits)
            hidden = states[-1][0].unsqueeze(1)
            if shape.decoder:
                positions = torch.arange(inputs.shape[1], device=source.device)
                hidden, _ = self._stack("decoder", parameters, inputs, states, dropout_keys, positions, None, limits)
            if shape.attention:
                hidden = _attend(hidden, memory, padding, parameters["attention.weight"])
        if shape.dropout > 0 and dropout_keys is not None:
            hidden = dropout(hidden, shape.dropout, dropout_keys, positions, 2 * shape.layers)
        outputs = affine(
            hidden.flatten(1, 2),
            parameters["output.weight"],
            parameters["output.bias"],
            self.workspace,
            "output",
        )
        if outputs.dtype == torch.bfloat16:
            outputs = outputs.float()  # 8 bits are too few for a sum over the vocabulary
        if isinstance(batch, ValueBatch):
            return value_loss(shape.loss, outputs, batch.target.flatten(1, 2).to(outputs.dtype))
        targets = batch.target.transpose(1, 2).flatten(1)
        counted = targets != PAD if shape.decoder else torch.ones_like(targets, dtype=torch.bool)
        return cross_entropy(outputs, targets, counted, self.workspace)

    def _steps(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor | None]:
        """What encoder and decoder read at each step, [K, T, B] or [K, T, B, F], and where the source is padding."""
        if isinstance(batch, ValueBatch):
            source, target = batch.source.to(self.workspace.dtype), batch.target.to(self.workspace.dtype)
            return source, torch.cat([source[:, -1:], target[:, :-1]], 1) if self.shape.decoder else target, None
        source = batch.source.transpose(1, 2)
        begin = torch.full_like(batch.target[:, :, :1], BEGIN)
        return source, torch.cat([begin, batch.target[:, :, :-1]], 2).transpose(1, 2), source == PAD

    def _stack(
        self,
        side: Literal["encoder", "decoder"],
        parameters: dict[str, Tensor],
        steps: Tensor,
        states: list[tuple[Tensor, Tensor]],
        dropout_keys: Tensor | None,
        positions: Tensor,
        padding: Tensor | None,
        limits: StateLimits,
    ) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """Run the layers of one side; outputs [K, T, B, H] and each layer's last state.

        The steps are symbol numbers [K, T, B] or real values [K, T, B, F].
        """
        shape = self.shape
        outputs = steps
        last_states = []
        is_rnn = shape.cell in ("rnn_tanh", "rnn_relu")
        absent = None
        if padding is not None and (is_rnn or limits.any):
            absent = padding.transpose(0, 1).contiguous()
        for layer, state in enumerate(states):
            name = f"{side}.l{layer}"
            weight, recurrent, bias, recurrent_bias = (
                parameters[f"{side}.{kind}_l{layer}"] for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            )
            candidate_bias = recurrent_bias[:, 2 * shape.hidden_size :]
            if shape.cell == "gru":
                recurrent_bias = torch.cat(
                    [recurrent_bias[:, : 2 * shape.hidden_size], torch.zeros_like(candidate_bias)], 1
                )
            if layer == 0 and steps.ndim == 3:
                embedding = parameters[f"{side}_embedding.weight"]
                table = affine(embedding, weight, bias + recurrent_bias, self.workspace, name)
                if padding is not None:
                    is_padding = torch.arange(table.shape[1], device=table.device) == PAD
                    table = table + is_padding.unsqueeze(-1) * self._closed
                inputs = token_inputs(table, steps, absent)
            else:
                if layer > 0 and shape.dropout > 0 and dropout_keys is not None:
                    number = 2 * layer + (side == "decoder")
                    outputs = dropout(outputs, shape.dropout, dropout_keys, positions, number)
                projected = affine(outputs.flatten(1, 2), weight, bias + recurrent_bias, self.workspace, name)
                projected = projected.unflatten(1, outputs.shape[1:3])
                if padding is not None:
                    projected = projected + padding.unsqueeze(-1) * self._closed
                inputs = dense_inputs(projected, absent)
            if shape.cell == "lstm":
                outputs, h, c = lstm(inputs, recurrent, *state, limits, self.workspace, name)
            elif is_rnn:
                relu = shape.cell == "rnn_relu"
                outputs, h = rnn(inputs, recurrent, state[0], limits, self.workspace, name, relu=relu)
                c = h
            else:
                outputs, h = gru(inputs, recurrent, candidate_bias, state[0], limits, self.workspace, name)
                c = h
            last_states.append((h, c))
        return outputs, last_states

    def _dense(
        self, parameters: dict[str, Tensor], steps: Tensor, dropout_keys: Tensor | None, positions: Tensor
    ) -> Tensor:
        """Run dense layers over real values [K, T, B, F]; outputs [K, T, B, H]."""
        outputs = steps
        for layer in range(self.shape.layers):
            if layer > 0 and self.shape.dropout > 0 and dropout_keys is not None:
                outputs = dropout(outputs, self.shape.dropout, dropout_keys, positions, 2 * layer)
            weight, bias = (parameters[f"encoder.{kind}_l{layer}"] for kind in ("weight_ih", "bias_ih"))
            rows = affine(outputs.flatten(1, 2), weight, bias, self.workspace, f"encoder.l{layer}")
            outputs = torch.relu(rows).unflatten(1, outputs.shape[1:3])
        return outputs


def _attend(hidden: Tensor, memory: Tensor, padding: Tensor | None, weight: Tensor) -> Tensor:
    """Luong's dot-product attention of decoder states [K, U, B, H] over encoder states [K, S, B, H]."""
    queries, keys = hidden.transpose(1, 2), memory.transpose(1, 2)
    scores = queries @ keys.transpose(2, 3)
    if padding is not None:
        scores = scores.masked_fill(padding.transpose(1, 2).unsqueeze(2), -math.inf)
    context = torch.softmax(scores, -1) @ keys
    combined = torch.cat([context, queries], -1).transpose(1, 2)
    attended: Tensor = torch.tanh(combined.flatten(1, 2) @ weight).unflatten(1, hidden.shape[1:3])
    return attended
