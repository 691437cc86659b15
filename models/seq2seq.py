"""The encoder-decoder: K models of one shape as one program.

Sources and targets are symbols or vectors of real values.

Shapes: K trials, B sequences a batch, S source positions, U target positions, H hidden units, M width of the encoder's
outputs (H, or 2H of a bidirectional encoder), V symbols, F real values.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from gradstudy.models.attention import AdditiveAttention, dot_product
from gradstudy.models.cell_names import GATES, PLAIN_CELLS
from gradstudy.models.dropout import dropout
from gradstudy.models.gate_inputs import dense_inputs, embedded, reversal, token_inputs
from gradstudy.models.gru import gru
from gradstudy.models.initial_parameters import initial_parameters
from gradstudy.models.layers import affine, cross_entropy, value_loss
from gradstudy.models.lstm import lstm
from gradstudy.models.model_shape import BEGIN, PAD, Batch, ModelShape, ValueBatch, parameter_layout
from gradstudy.models.rnn import rnn
from gradstudy.models.state_clipping import StateLimits
from gradstudy.models.workspace import Workspace

_CLOSED = 1e4
"""A pre-activation at which the logistic function is exactly 1, and exactly 0 at its negative."""

_DIRECTIONS = ("", "_reverse")
"""How torch ends the names of a layer's parameters in each direction."""

State = tuple[Tensor, Tensor]
"""The hidden and the cell state of one layer, each [K, B, H]; of a cell that has none, twice the hidden state."""


class _Model(NamedTuple):
    """What a pass through the layers needs throughout.

    Attributes:
        parameters: by name, each [K, ...].
        dropout_keys: [K]; None without dropout.
        limits: of the gradients of recurrent states.
    """

    parameters: dict[str, Tensor]
    dropout_keys: Tensor | None
    limits: StateLimits


class EncoderDecoder:
    """An encoder-decoder with teacher forcing, over a trial axis.

    Parameters carry the names of the torch modules that they correspond to (``encoder_embedding``, ``encoder``,
    ``decoder_embedding``, ``decoder``, ``bridge``, ``attention``, ``output``); weights that torch keeps as [out, in]
    are [in, out].

    A bidirectional encoder is that of torch over packed sequences: each source is reversed within its own length. Each
    layer of the decoder then starts from h = tanh(W [forward; backward] + b) of the last hidden states of both
    directions of its encoder layer; its cell state is another such map of their cell states, without tanh, because a
    cell state has no bounds. (Bahdanau et al. 2014 map the last state of the backward direction alone.) A model without
    a decoder reads both last hidden states side by side.
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
        """Draw one model's parameters [P]; see ``initial_parameters``."""
        return initial_parameters(self.shape, self.layout, seed, dtype).to(self.workspace.device)

    def loss(
        self,
        parameters: dict[str, Tensor],
        batch: Batch,
        dropout_keys: Tensor | None = None,
        limits: StateLimits | None = None,
        *,
        smoothing: float = 0.0,
    ) -> Tensor:
        """The loss of each trial under teacher forcing, [K]: of symbols token-mean cross-entropy in nats.

        Of real values it is the mean error over all target values. The decoder then reads the value before the one
        that it is to give, first the last one of the source.

        Args:
            parameters: the layout's views, each [K, ...].
            batch: one batch of each trial.
            dropout_keys: one 64-bit integer for each trial and step, [K]; None switches dropout off.
            limits: of the gradients of recurrent states in the backward pass; None for none.
            smoothing: the share of each target symbol that is spread over all symbols.
        """
        shape = self.shape
        limits = limits or StateLimits.none(self.workspace.dtype, self.workspace.device)
        model = _Model(parameters, dropout_keys if shape.dropout > 0 else None, limits)
        source, inputs, padding = self._steps(batch)
        from_end = torch.arange(source.shape[1] - 1, -1, -1, device=source.device)
        positions = from_end[-1:]
        if shape.cell == "dense":
            hidden = self._dense(model, source[:, -1:], positions)
        else:
            memory, states = self._encode(model, source, from_end, padding)
            if shape.decoder:
                positions = torch.arange(inputs.shape[1], device=source.device)
                start = self._bridged(model, states) if shape.bidirectional else [of_layer[0] for of_layer in states]
                hidden = self._decode(model, inputs, start, positions, memory, padding)
            else:
                hidden = torch.cat([h for h, _ in states[-1]], -1).unsqueeze(1)
        hidden = self._dropped(model, hidden, positions, 2 * shape.layers)
        if shape.output_scale != 1:
            hidden = hidden * shape.output_scale
        weight = parameters["decoder_embedding.weight"].transpose(1, 2) if shape.tied else parameters["output.weight"]
        outputs = affine(hidden.flatten(1, 2), weight, parameters["output.bias"], self.workspace, "output")
        if outputs.dtype in (torch.bfloat16, torch.float16):
            outputs = outputs.float()  # 8 or 11 bits are too few for a sum over the vocabulary
        if isinstance(batch, ValueBatch):
            return value_loss(shape.loss, outputs, batch.target.flatten(1, 2).to(outputs.dtype))
        targets = batch.target.transpose(1, 2).flatten(1)
        counted = targets != PAD if shape.decoder else torch.ones_like(targets, dtype=torch.bool)
        return cross_entropy(outputs, targets, counted, self.workspace, smoothing)

    def _steps(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor | None]:
        """What encoder and decoder read at each step, [K, T, B] or [K, T, B, F], and where the source is padding."""
        if isinstance(batch, ValueBatch):
            source, target = batch.source.to(self.workspace.dtype), batch.target.to(self.workspace.dtype)
            return source, torch.cat([source[:, -1:], target[:, :-1]], 1) if self.shape.decoder else target, None
        source = batch.source.transpose(1, 2)
        begin = torch.full_like(batch.target[:, :, :1], BEGIN)
        return source, torch.cat([begin, batch.target[:, :, :-1]], 2).transpose(1, 2), source == PAD

    def _encode(
        self, model: _Model, source: Tensor, positions: Tensor, padding: Tensor | None
    ) -> tuple[Tensor, list[list[State]]]:
        """Read the source: the top layer's outputs [K, S, B, M], and each layer's last state of each direction."""
        zeros = self._closed.new_zeros(len(source), source.shape[2], self.shape.hidden_size)
        orders: list[Tensor | None] = [None]
        if self.shape.bidirectional:
            nowhere = torch.zeros(source.shape[:3], dtype=torch.bool, device=source.device)
            orders.append(reversal(nowhere if padding is None else padding))
        outputs, last_states = source, []
        for layer in range(self.shape.layers):
            if layer > 0:
                outputs = self._dropped(model, outputs, positions, 2 * layer)
            found = [
                self._layer(model, "encoder", f"l{layer}{suffix}", outputs, (zeros, zeros), padding, order)
                for suffix, order in zip(_DIRECTIONS, orders, strict=False)
            ]
            outputs = found[0][0] if len(found) == 1 else torch.cat([each for each, _ in found], -1)
            last_states.append([state for _, state in found])
        return outputs, last_states

    def _bridged(self, model: _Model, last_states: list[list[State]]) -> list[State]:
        """The state that each layer of the decoder starts from, by the last ones of both directions of the encoder."""
        start = []
        for layer, directions in enumerate(last_states):
            found = {}
            for number, kind in enumerate(("h", "c") if self.shape.cell == "lstm" else ("h",)):
                name = f"bridge.{kind}_l{layer}"
                both = torch.cat([state[number] for state in directions], -1)
                weight, bias = model.parameters[f"{name}.weight"], model.parameters[f"{name}.bias"]
                found[kind] = affine(both, weight, bias, self.workspace, name)
            h = torch.tanh(found["h"])
            start.append((h, found.get("c", h)))
        return start

    def _decode(
        self,
        model: _Model,
        inputs: Tensor,
        states: list[State],
        positions: Tensor,
        memory: Tensor,
        padding: Tensor | None,
    ) -> Tensor:
        """What the output layer reads at each target position, [K, U, B, H]."""
        if self.shape.attention != "bahdanau":
            hidden, _ = self._decoder_steps(model, inputs, states, positions)
            if self.shape.attention == "dot":
                scale = self.shape.output_scale
                hidden = dot_product(hidden, memory, padding, model.parameters, self.workspace, scale)
            return hidden
        attention = AdditiveAttention(memory, padding, model.parameters, self.workspace, self.shape.output_scale)
        if inputs.ndim == 3:
            inputs = embedded(model.parameters["decoder_embedding.weight"], inputs)
        outputs = []
        for step in range(inputs.shape[1]):
            context = attention.context(states[-1][0], step)
            entering = torch.cat([inputs[:, step], context], -1).unsqueeze(1)
            at = positions[step : step + 1]
            hidden, states = self._decoder_steps(model, entering, states, at, part=f".{step}")
            outputs.append(hidden)
        return torch.cat(outputs, 1)

    def _decoder_steps(
        self, model: _Model, outputs: Tensor, states: list[State], positions: Tensor, part: str = ""
    ) -> tuple[Tensor, list[State]]:
        """Run the decoder over some steps: its outputs [K, U, B, H] and each layer's state after them."""
        last_states = []
        for layer, state in enumerate(states):
            if layer > 0:
                outputs = self._dropped(model, outputs, positions, 2 * layer + 1)
            outputs, last = self._layer(model, "decoder", f"l{layer}", outputs, state, part=part)
            last_states.append(last)
        return outputs, last_states

    def _layer(
        self,
        model: _Model,
        side: str,
        layer: str,
        steps: Tensor,
        state: State,
        padding: Tensor | None = None,
        order: Tensor | None = None,
        part: str = "",
    ) -> tuple[Tensor, State]:
        """Run one layer in one direction; outputs [K, T, B, H] in the order of the steps, and the last state.

        Args:
            model: with the layer's parameters.
            side: encoder or decoder.
            layer: as the names of its parameters end.
            steps: symbol numbers [K, T, B] or real values [K, T, B, F].
            state: before the first step.
            padding: True where a step is padding, [K, T, B].
            order: the step that is read at each step, [K, T, B]: its own inverse.
            part: tells apart the buffers of several calls in one pass.
        """
        shape, name = self.shape, f"{side}.{layer}{part}"
        weight, recurrent, bias, recurrent_bias = (
            model.parameters[f"{side}.{kind}_{layer}"] for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        absent = None
        if padding is not None and (shape.cell in PLAIN_CELLS or model.limits.any):
            absent = padding.transpose(0, 1).contiguous()  # in either order padding is in front
        candidate_bias = recurrent_bias[:, 2 * shape.hidden_size :]
        if shape.cell == "gru":
            recurrent_bias = torch.cat(
                [recurrent_bias[:, : 2 * shape.hidden_size], torch.zeros_like(candidate_bias)], 1
            )
        if steps.ndim == 3:
            embedding = model.parameters[f"{side}_embedding.weight"]
            table = affine(embedding, weight, bias + recurrent_bias, self.workspace, name)
            if padding is not None:
                is_padding = torch.arange(table.shape[1], device=table.device) == PAD
                table = table + is_padding.unsqueeze(-1) * self._closed
            inputs = token_inputs(table, steps if order is None else steps.gather(1, order), absent)
        else:
            projected = affine(steps.flatten(1, 2), weight, bias + recurrent_bias, self.workspace, name)
            projected = projected.unflatten(1, steps.shape[1:3])
            if padding is not None:
                projected = projected + padding.unsqueeze(-1) * self._closed
            inputs = dense_inputs(projected, order, absent)
        if shape.cell == "lstm":
            outputs, h, c = lstm(inputs, recurrent, *state, model.limits, self.workspace, name)
        elif shape.cell in PLAIN_CELLS:
            relu = shape.cell == "rnn_relu"
            outputs, h = rnn(inputs, recurrent, state[0], model.limits, self.workspace, name, relu=relu)
            c = h
        else:
            outputs, h = gru(inputs, recurrent, candidate_bias, state[0], model.limits, self.workspace, name)
            c = h
        if order is not None:
            outputs = torch.take_along_dim(outputs, order.unsqueeze(-1), 1)
        return outputs, (h, c)

    def _dense(self, model: _Model, steps: Tensor, positions: Tensor) -> Tensor:
        """Run dense layers over real values [K, T, B, F]; outputs [K, T, B, H]."""
        outputs = steps
        for layer in range(self.shape.layers):
            if layer > 0:
                outputs = self._dropped(model, outputs, positions, 2 * layer)
            weight, bias = (model.parameters[f"encoder.{kind}_l{layer}"] for kind in ("weight_ih", "bias_ih"))
            rows = affine(outputs.flatten(1, 2), weight, bias, self.workspace, f"encoder.l{layer}")
            outputs = torch.relu(rows).unflatten(1, outputs.shape[1:3])
        return outputs

    def _dropped(self, model: _Model, outputs: Tensor, positions: Tensor, number: int) -> Tensor:
        """Activations [K, T, B, H] after the model's dropout of this number, if it has any."""
        if model.dropout_keys is None:
            return outputs
        return dropout(outputs, self.shape.dropout, model.dropout_keys, positions, number)
