"""The parameters that a model begins with, drawn from its seed."""

import math

import torch
from torch import Tensor

from gradstudy.models.model_shape import ModelShape, parameter_layout
from gradstudy.models.parameters import ParameterLayout
from gradstudy.models.parametrization import growth


def initial_parameters(shape: ModelShape, layout: ParameterLayout, seed: int, dtype: torch.dtype) -> Tensor:
    """Draw one model's parameters [P] as torch's modules do, built in layout order after ``manual_seed(seed)``.

    Embeddings are standard normal, recurrent parameters uniform in +-1/sqrt(H), linear ones in
    +-1/sqrt(inputs). An embedding that is tied to the output layer is drawn as the weights of that layer, in
    +-1/sqrt(H), so that the untrained model's outputs are no larger than without tying. A dense model is drawn as Keras
    does with ``he_uniform`` in its dense layers (He et al. 2015, arXiv 1502.01852): weights uniform in
    +-sqrt(6 / inputs), those of the output layer in +-sqrt(6 / (inputs + outputs)) (Glorot and Bengio 2010), biases
    zero.

    With ``forget_bias`` an LSTM's forget gates begin with that bias (Gers et al. 2000; Jozefowicz et al. 2015):
    it is in ``bias_ih``, and their ``bias_hh`` is zero. Nothing else is drawn differently.

    In the maximal update parametrization bounds are those of the model of the base width, times ``Growth.initial``.
    """
    base = shape.base or shape
    of_base = parameter_layout(base).parameters
    generator = torch.Generator().manual_seed(seed)
    flat = torch.zeros(1, layout.size, dtype=dtype)
    for parameter, at_base in zip(layout.parameters, of_base, strict=True):
        view = parameter.view(flat)[0]
        torch_order = view.T if parameter.unit_axis == 1 else view
        drawn = torch.empty(torch_order.shape, dtype=view.dtype)
        module = parameter.name.partition(".")[0]
        if module.endswith("_embedding") and not (shape.tied and module == "decoder_embedding"):
            drawn.normal_(generator=generator)
        else:
            bound = _bound(base, module, at_base.shape) * growth(parameter, at_base).initial
            drawn.uniform_(-bound, bound, generator=generator)
        torch_order.copy_(drawn)
    if shape.cell == "lstm" and shape.forget_bias is not None:
        _set_forget_bias(shape, layout.views(flat), shape.forget_bias)
    return flat[0]


def _set_forget_bias(shape: ModelShape, views: dict[str, Tensor], bias: float) -> None:
    """Set it in the parameters; the forget gate is the second of torch's order."""
    gate = slice(shape.hidden_size, 2 * shape.hidden_size)
    for name, view in views.items():
        if ".bias_ih" in name or ".bias_hh" in name:
            view[:, gate] = bias if ".bias_ih" in name else 0.0


def _bound(shape: ModelShape, module: str, sizes: tuple[int, ...]) -> float:
    """The largest absolute value that a parameter of these sizes begins with."""
    if shape.cell == "dense":
        if len(sizes) == 1:
            return 0.0
        return math.sqrt(6 / (sum(sizes) if module == "output" else sizes[0]))
    inputs = shape.hidden_size
    if module == "attention":
        inputs = sizes[0]
    elif module == "bridge":
        inputs = shape.memory_size
    elif module == "output":
        inputs = shape.output_inputs
    return 1 / math.sqrt(inputs)
