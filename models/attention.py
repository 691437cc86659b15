"""How a decoder attends to the encoder's outputs, over a trial axis.

Shapes: K trials, B sequences a batch, S source positions, U target positions, H hidden units, M width of the encoder's
outputs: H, or 2H of a bidirectional encoder.
"""

import math

import torch
from torch import Tensor

from gradstudy.models.layers import affine
from gradstudy.models.workspace import Workspace


def dot_product(
    hidden: Tensor,
    memory: Tensor,
    padding: Tensor | None,
    parameters: dict[str, Tensor],
    workspace: Workspace,
    scale: float = 1.0,
) -> Tensor:
    """Luong's attention (Luong et al. 2015, arXiv 1508.04025) after the decoder, without input feeding.

    The context of a decoder state is the mean of the encoder's outputs, weighted by the softmax of their products with
    it; context and state pass a linear layer and tanh. The outputs of a bidirectional encoder are twice as wide as the
    state: they are projected for the product, which is then Luong's "general" one.

    Args:
        hidden: the decoder's states, [K, U, B, H].
        memory: the encoder's outputs, [K, S, B, M].
        padding: True where the source is padding, [K, S, B].
        parameters: of the model.
        workspace: for the products.
        scale: that the products are multiplied by.

    Returns:
        What the output layer reads, [K, U, B, H].
    """
    queries, values = hidden.transpose(1, 2), memory.transpose(1, 2)
    projection = parameters.get("attention.key.weight")
    keys = values if projection is None else _projected(memory, projection, workspace).transpose(1, 2)
    scores = queries @ keys.transpose(2, 3)
    if scale != 1:
        scores = scores * scale
    if padding is not None:
        scores = scores.masked_fill(padding.transpose(1, 2).unsqueeze(2), -math.inf)
    context = torch.softmax(scores, -1) @ values
    combined = torch.cat([context, queries], -1).transpose(1, 2)
    mixed = combined.flatten(1, 2) @ parameters["attention.weight"]
    attended: Tensor = torch.tanh(mixed).unflatten(1, hidden.shape[1:3])
    return attended


class AdditiveAttention:
    """Bahdanau's attention (Bahdanau et al. 2014, arXiv 1409.0473) of each decoder step to one batch of sources.

    The score of a source position is v . tanh(W query + U memory), where the query is the decoder's state before the
    step; the weighted mean of the encoder's outputs enters the step.
    """

    def __init__(
        self,
        memory: Tensor,
        padding: Tensor | None,
        parameters: dict[str, Tensor],
        workspace: Workspace,
        scale: float = 1.0,
    ) -> None:
        """Project the encoder's outputs [K, S, B, M], with padding [K, S, B], once for all steps.

        Scores are multiplied by ``scale``.
        """
        self._values = memory.transpose(1, 2)
        self._keys = _projected(memory, parameters["attention.key.weight"], workspace).transpose(1, 2)
        self._padding = None if padding is None else padding.transpose(1, 2)
        self._query = parameters["attention.query.weight"]
        self._score = parameters["attention.score.weight"].transpose(1, 2).unsqueeze(1)
        self._workspace, self._scale = workspace, scale

    def context(self, state: Tensor, step: int) -> Tensor:
        """What a step's decoder reads of the source, [K, B, M], by its state before it [K, B, H]."""
        query = affine(state, self._query, None, self._workspace, f"attention.query.{step}")
        scores = (torch.tanh(self._keys + query.unsqueeze(2)) * self._score).sum(-1)
        if self._scale != 1:
            scores = scores * self._scale
        if self._padding is not None:
            scores = scores.masked_fill(self._padding, -math.inf)
        context: Tensor = (torch.softmax(scores, -1).unsqueeze(2) @ self._values).squeeze(2)
        return context


def _projected(memory: Tensor, weight: Tensor, workspace: Workspace) -> Tensor:
    """The encoder's outputs [K, S, B, M] as keys, [K, S, B, H]."""
    keys: Tensor = affine(memory.flatten(1, 2), weight, None, workspace, "attention.key")
    projected: Tensor = keys.unflatten(1, memory.shape[1:3])
    return projected
