"""The encoder-decoder against the same model of torch's own layers."""

import pytest
import torch

from gradstudy.models.cell_names import RECURRENT_CELLS
from gradstudy.models.model_shape import ModelShape, TokenBatch
from gradstudy.models.seq2seq import EncoderDecoder
from gradstudy.models.workspace import Workspace

TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-5}

OPTIONS = [
    {},
    {"attention": "dot"},
    {"attention": "dot", "layers": 3},
    {"attention": "bahdanau"},
    {"attention": "bahdanau", "layers": 2},
    {"bidirectional": True},
    {"bidirectional": True, "layers": 3},
    {"bidirectional": True, "layers": 2, "attention": "dot"},
    {"bidirectional": True, "layers": 2, "attention": "bahdanau"},
    {"tied": True, "embedding_size": 6},
    {"label_smoothing": 0.1},
    {"tied": True, "embedding_size": 6, "bidirectional": True, "attention": "bahdanau", "label_smoothing": 0.3},
]
SHAPES = [
    pytest.param(
        ModelShape(
            cell=cell, source_vocabulary=11, target_vocabulary=13, **({"embedding_size": 5, "hidden_size": 6} | options)
        ),
        id="-".join([cell, *(f"{name}={value}" for name, value in options.items())]),
    )
    for cell in RECURRENT_CELLS
    for options in OPTIONS
]


def make(shape, dtype):
    return EncoderDecoder(shape, Workspace(dtype, torch.device("cpu")))


def loss_and_gradients(model, rows, batch):
    views = {name: view.requires_grad_() for name, view in model.layout.views(rows).items()}
    loss = model.loss(views, batch, smoothing=model.shape.label_smoothing)
    gradients = torch.zeros_like(rows)
    for name, gradient in zip(views, torch.autograd.grad(loss.sum(), list(views.values())), strict=True):
        model.layout.views(gradients)[name].copy_(gradient)
    return loss.detach(), gradients


@pytest.mark.sampled
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("trials", [1, 8])
@pytest.mark.parametrize("shape", SHAPES)
def test_loss_and_every_gradient_equal_torchs_layers(shape, trials, dtype, torch_model, token_batch):
    model = make(shape, dtype)
    references = [torch_model(shape, seed, dtype) for seed in range(trials)]
    rows = torch.stack([reference.flat(model.layout) for reference in references])
    source, target = token_batch(shape, trials, 9)
    loss, gradients = loss_and_gradients(model, rows, TokenBatch(source, target))
    for k, reference in enumerate(references):
        expected = reference(source[k], target[k])
        expected.backward()
        torch.testing.assert_close(loss[k], expected.detach(), rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])
        expected_gradients = reference.flat(model.layout, lambda p: p.grad)
        torch.testing.assert_close(gradients[k], expected_gradients, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@pytest.mark.parametrize("shape", SHAPES)
def test_initial_parameters_are_those_of_torchs_modules(shape, torch_model):
    model = make(shape, torch.float32)
    expected = torch_model(shape, 5, torch.float32).flat(model.layout)
    torch.testing.assert_close(model.initialize(5, torch.float32), expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("shape", SHAPES)
def test_padding_that_neighbours_bring_changes_nothing(shape, token_batch):
    model = make(shape, torch.float64)
    rows = model.initialize(0, torch.float64).unsqueeze(0)
    source, target = token_batch(shape, 1, 4)
    wider = TokenBatch(
        torch.nn.functional.pad(source, (6, 0)),
        torch.nn.functional.pad(target, (0, 4)),
    )
    loss, gradients = loss_and_gradients(model, rows.clone(), TokenBatch(source, target))
    wider_loss, wider_gradients = loss_and_gradients(model, rows.clone(), wider)
    torch.testing.assert_close(wider_loss, loss, rtol=1e-13, atol=0)
    torch.testing.assert_close(wider_gradients, gradients, rtol=1e-12, atol=1e-15)


def test_gaps_of_the_layout_stay_zero():
    shape = SHAPES[0].values[0]
    model = make(shape, torch.float32)
    row = model.initialize(0, torch.float32)
    covered = torch.zeros_like(row, dtype=torch.bool).unsqueeze(0)
    for parameter in model.layout.parameters:
        parameter.view(covered).fill_(True)
    assert covered.sum() < covered.numel()
    assert not row[~covered[0]].any()
