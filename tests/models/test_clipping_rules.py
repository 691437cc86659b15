"""Each strategy against its formula, written again in numpy, one model at a time."""

import math

import numpy as np
import pytest
import torch

from gradstudy.models.clipping import GradientClipper
from gradstudy.models.parameters import ParameterLayout

SHAPES = {
    "embedding": ((5, 3), 0),
    "weight": ((3, 8), 1),
    "bias": ((8,), None),
    "pair": ((2,), None),
    "scale": ((1,), None),
}
LAYOUT = ParameterLayout(SHAPES)
STEPS = 60


def rows(seed: int, trials: int = 1) -> torch.Tensor:
    """Random rows [K, P] with zeros in the gaps."""
    flat = torch.zeros(trials, LAYOUT.size, dtype=torch.float64)
    generator = torch.Generator().manual_seed(seed)
    for view in LAYOUT.views(flat).values():
        view.normal_(generator=generator)
    return flat


def arrays(flat: torch.Tensor) -> dict[str, np.ndarray]:
    """The first row's parameters."""
    return {name: view[0].numpy().copy() for name, view in LAYOUT.views(flat).items()}


def total_norm(gradient: dict[str, np.ndarray]) -> float:
    return math.sqrt(sum(float((g**2).sum()) for g in gradient.values()))


def scaled(gradient, factor):
    return {name: g * factor for name, g in gradient.items()}


class Reference:
    """One model, one strategy."""

    def __init__(self, strategy, c):
        self.rule, self.c, self.norms, self.mean, self.var = getattr(self, strategy), c, [], None, None

    def none(self, gradient, weight):
        return gradient

    def norm(self, gradient, weight):
        return self.to_norm(gradient, self.c)

    def value(self, gradient, weight):
        return {name: np.clip(g, -self.c, self.c) for name, g in gradient.items()}

    def param_norm(self, gradient, weight):
        return {n: g * self.c / max(math.sqrt(float((g**2).sum())), self.c) for n, g in gradient.items()}

    def normalize(self, gradient, weight):
        return scaled(gradient, self.c / (total_norm(gradient) + 1e-6))

    def standardize(self, gradient, weight):
        return {n: (g - g.mean()) / (g.std() + 1e-8) if g.size > 2 else g for n, g in gradient.items()}

    def agc(self, gradient, weight):
        result = {}
        for name, (_, axis) in SHAPES.items():
            g, w = gradient[name].copy(), weight[name]
            count = 1 if axis is None else g.shape[axis]
            for i in range(count):
                unit = {None: np.s_[:], 0: np.s_[i], 1: np.s_[..., i]}[axis]
                norm = np.sqrt((g[unit] ** 2).sum())
                bound = self.c * max(np.sqrt((w[unit] ** 2).sum()), 1e-3)
                if norm > bound:
                    g[unit] *= bound / norm
            result[name] = g
        return result

    def autoclip(self, gradient, weight):
        self.norms.append(total_norm(gradient))
        return self.to_norm(gradient, np.percentile(self.norms, self.c))

    def zclip(self, gradient, weight):
        norm = total_norm(gradient)
        if len(self.norms) < 25:
            self.norms.append(norm)
            self.mean, self.var = np.mean(self.norms), np.var(self.norms)
            return gradient
        z = (norm - self.mean) / (math.sqrt(self.var) + 1e-6)
        seen, result = norm, gradient
        if z > self.c:
            seen = self.mean + self.c * math.sqrt(self.var) / (z / self.c)
            result = scaled(gradient, seen / (norm + 1e-6))
        self.mean = 0.97 * self.mean + 0.03 * seen
        self.var = 0.97 * self.var + 0.03 * (seen - self.mean) ** 2
        return result

    def to_norm(self, gradient, c):
        return scaled(gradient, min(1.0, c / (total_norm(gradient) + 1e-6)))


CASES = [
    ("none", None),
    ("norm", 2.0),
    ("norm", 1000.0),
    ("value", 0.4),
    ("param_norm", 1.5),
    ("normalize", 0.3),
    ("standardize", None),
    ("agc", 0.5),
    ("autoclip", 10.0),
    ("autoclip", 66.0),
    ("zclip", 1.0),
    ("zclip", 2.5),
]


def clipper(*assigned, slots=None, steps=STEPS, dtype=torch.float64):
    made = GradientClipper(LAYOUT, slots or len(assigned), steps, dtype, "cpu")
    for slot, (strategy, threshold) in enumerate(assigned):
        made.assign(slot, strategy, threshold)
    return made


def gradient_of_step(step: int, trial: int = 0) -> torch.Tensor:
    """Gradients whose norm varies, with a spike now and then."""
    return rows(1000 * trial + step) * (1 + 0.3 * math.sin(step + trial)) * (6 if step % 9 == 8 else 1)


@pytest.mark.parametrize(("strategy", "threshold"), CASES)
def test_every_step_follows_the_formula(strategy, threshold):
    clip, reference = clipper((strategy, threshold)), Reference(strategy, threshold)
    changed = []
    for step in range(STEPS):
        gradient, weight = gradient_of_step(step), rows(-1 - step)
        before = arrays(gradient)
        expected = reference.rule(before, arrays(weight))
        result = clip(gradient, weight)
        after = arrays(gradient)
        for name in SHAPES:
            np.testing.assert_allclose(after[name], expected[name], rtol=1e-9, atol=1e-12)
        assert float(result.grad_norm) == pytest.approx(total_norm(before))
        assert float(result.applied_norm) == pytest.approx(total_norm(expected))
        assert bool(result.clipped) == any((after[name] != before[name]).any() for name in SHAPES)
        assert float(gradient.square().sum()) == pytest.approx(total_norm(after) ** 2), "a gap is not zero"
        changed.append(bool(result.clipped))
    if (strategy, threshold) not in [("none", None), ("norm", 1000.0)]:
        assert any(changed)


def test_different_strategies_at_once_equal_each_alone():
    together, alone = clipper(*CASES), [clipper(case) for case in CASES]
    for step in range(STEPS):
        gradients = [gradient_of_step(step, trial) for trial in range(len(CASES))]
        weights = rows(-1 - step, len(CASES))
        batch = torch.cat(gradients)
        result = together(batch, weights)
        for trial, gradient in enumerate(gradients):
            single = alone[trial](gradient, weights[trial : trial + 1])
            torch.testing.assert_close(batch[trial], gradient[0], rtol=1e-12, atol=0)
            torch.testing.assert_close(result.applied_norm[trial], single.applied_norm[0])
            assert result.clipped[trial] == single.clipped[0]


def worked_vector(strategy, threshold):
    layout = ParameterLayout({"x": ((3,), None)})
    clip = GradientClipper(layout, 1, 1, torch.float64, "cpu")
    clip.assign(0, strategy, threshold)
    gradient = torch.zeros(1, layout.size, dtype=torch.float64)
    gradient[0, :3] = torch.tensor([0.7, 1.1, 3.4], dtype=torch.float64)
    clip(gradient, torch.ones_like(gradient))
    return gradient[0, :3].tolist()


def test_worked_vector_by_value():
    assert worked_vector("value", 1.0) == [0.7, 1.0, 1.0]


def test_worked_vector_standardized_is_over_the_deviation_not_the_variance():
    vector = np.array([0.7, 1.1, 3.4])
    over_variance = (vector - vector.mean()) / vector.var()
    np.testing.assert_allclose(over_variance, [-0.73, -0.45, 1.18], atol=0.006)
    np.testing.assert_allclose(worked_vector("standardize", None), [-0.868, -0.532, 1.401], atol=6e-4)


@pytest.mark.parametrize("strategy", ["norm", "value"])
def test_agrees_with_torch(strategy):
    model = torch.nn.LSTM(4, 6)
    shapes = {name: (tuple(p.shape), 0 if p.ndim > 1 else None) for name, p in model.named_parameters()}
    layout = ParameterLayout(shapes)
    flat = torch.zeros(1, layout.size)
    for name, parameter in model.named_parameters():
        parameter.grad = torch.randn_like(parameter)
        layout.views(flat)[name][0] = parameter.grad
    clip = GradientClipper(layout, 1, 1, torch.float32, "cpu")
    clip.assign(0, strategy, 0.25)
    clip(flat, torch.zeros_like(flat))
    getattr(torch.nn.utils, f"clip_grad_{strategy}_")(model.parameters(), 0.25)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(layout.views(flat)[name][0], parameter.grad)
