"""The PyTorch that is printed for people does what the trial array does."""

import pytest
import torch
from thresholds import AFTER_BACKWARD, THRESHOLDS

from gradstudy.models.clipping import GradientClipper
from gradstudy.models.parameters import ParameterLayout
from gradstudy.models.strategies import STRATEGIES


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.Embedding(7, 4)
        self.encoder = torch.nn.GRU(4, 5, batch_first=True)
        self.output = torch.nn.Linear(5, 2)
        self.scale = torch.nn.Parameter(torch.ones(1))

    def forward(self, tokens):
        return self.output(self.encoder(self.embedding(tokens))[0]) * self.scale


def rows(layout, tensors):
    flat = torch.zeros(1, layout.size, dtype=torch.float64)
    for view, tensor in zip(layout.views(flat).values(), tensors, strict=True):
        view[0] = tensor
    return flat


@pytest.mark.parametrize("name", AFTER_BACKWARD)
def test_snippet_does_what_the_trial_array_does(name):
    torch.manual_seed(0)
    model = Model().double()
    parameters = list(model.parameters())
    layout = ParameterLayout({n: (tuple(p.shape), 0 if p.ndim > 1 else None) for n, p in model.named_parameters()})
    clip = GradientClipper(layout, 1, 60, torch.float64, "cpu")
    clip.assign(0, name, THRESHOLDS[name])
    strategy, names, clipped = STRATEGIES[name], {"torch": torch, "model": model}, 0
    exec(strategy.setup, names)
    for step in range(60):
        model.zero_grad()
        tokens = torch.randint(7, (4, 6))
        loss = model(tokens).square().mean() * (1 + step % 4)
        loss.backward()
        flat = rows(layout, [p.grad for p in parameters])
        with torch.no_grad():
            result = clip(flat, rows(layout, parameters), loss.detach().unsqueeze(0))
        names["loss"] = loss
        exec(strategy.pytorch_step(THRESHOLDS[name]), names)
        left = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        torch.testing.assert_close(rows(layout, left), flat, rtol=1e-4, atol=1e-9)
        clipped += int(result.clipped)
    assert clipped > 0 or name == "none"


@pytest.mark.parametrize("name", STRATEGIES)
def test_whole_snippet_can_be_run(name):
    model = Model()
    loss = model(torch.randint(7, (2, 3))).sum()
    loss.backward()
    exec(STRATEGIES[name].pytorch(THRESHOLDS[name]), {"torch": torch, "model": model, "loss": loss})
