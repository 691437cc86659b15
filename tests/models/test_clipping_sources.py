"""Rules of other people's optimizers, beside what their own code does with a gradient, written again one by one."""

import math
import random

import numpy as np
import pytest
import torch

from gradstudy.models.clipping import GradientClipper
from gradstudy.models.parameters import ParameterLayout

SHAPES = {
    "embedding": ((5, 3), 0),
    "weight": ((3, 8), 1),
    "kernel": ((2, 3, 2), 0),
    "bias": ((8,), None),
    "scale": ((1,), None),
}
LAYOUT = ParameterLayout(SHAPES)
STEPS = 130
CLOSE = {"rtol": 1e-10, "atol": 1e-14}


def norm_of(gradient):
    return math.sqrt(sum(float((g**2).sum()) for g in gradient.values()))


def scaled(gradient, factor):
    return {name: g * factor for name, g in gradient.items()}


class Rms:
    """optax.clip_by_block_rms."""

    def __init__(self, c):
        self.c = c

    def __call__(self, gradient, loss):
        return {name: g / max(1.0, np.sqrt(np.mean(g**2)) / self.c) for name, g in gradient.items()}


class Spectral:
    """What SPECTRA's Newton-Schulz iterations come near, by its definition."""

    def __init__(self, c):
        self.c = c

    def __call__(self, gradient, loss):
        result = {}
        for name, g in gradient.items():
            matrix = g.reshape(len(g) if g.ndim > 1 else 1, -1)
            u, s, v = np.linalg.svd(matrix, full_matrices=False)
            result[name] = ((u * (s / np.sqrt(1 + s**2 / self.c**2))) @ v).reshape(g.shape)
        return result


class AdaGC:
    """The authors' algorithm with ``warmup_steps=25``."""

    def __init__(self, c):
        self.c, self.step, self.gamma = c, 0, {}

    def __call__(self, gradient, loss):
        self.step += 1
        result = {}
        for name, g in gradient.items():
            if self.step < 25:
                result[name] = g * min(1.0 / norm_of(gradient), 1.0)
                clipped = np.linalg.norm(result[name])
                self.gamma[name] = clipped if self.step == 1 else min(self.gamma[name], clipped)
            else:
                result[name] = g * min(self.c * self.gamma[name] / np.linalg.norm(g), 1.0)
                self.gamma[name] = 0.98 * self.gamma[name] + (1 - 0.98) * np.linalg.norm(result[name])
        return result


class SpamEntry:
    """The masks of the authors' optimizer, without the resets of its momentum."""

    def __init__(self, c):
        self.c, self.step = c, 0
        self.exp_avg_sq = {name: np.zeros(shape) for name, (shape, _) in SHAPES.items()}

    def __call__(self, gradient, loss):
        self.step += 1
        result = {}
        for name, g in gradient.items():
            g, v = g.copy(), self.exp_avg_sq[name]
            if self.step >= 20:
                mask = g**2 > self.c * v
                g[mask] = np.sign(g[mask]) * np.sqrt(self.c * v[mask])
            self.exp_avg_sq[name] = 0.999 * v + (1 - 0.999) * g**2
            result[name] = g
        return result


class StableSpam:
    """The authors' optimizer up to where Adam's moments begin."""

    def __init__(self, c):
        self.step, self.state = 0, {name: [0.0, 0.0, 0.0] for name in SHAPES}

    def __call__(self, gradient, loss):
        self.step += 1
        result = {}
        for name, g in gradient.items():
            g, (m_max, m_norm, v_norm) = g.copy(), self.state[name]
            max_grad = np.abs(g).max()
            m_max = 0.999 * m_max + (1 - 0.999) * max_grad
            m_max_hat = m_max / (1 - 0.999**self.step)
            mask = np.abs(g) > m_max_hat
            g[mask] = g[mask] / max_grad * m_max_hat
            grad_norm = np.linalg.norm(g)
            m_norm = 0.7 * m_norm + (1 - 0.7) * grad_norm
            v_norm = 0.9 * v_norm + (1 - 0.9) * grad_norm**2
            m_norm_hat = m_norm / (1 - 0.7**self.step)
            v_norm_hat = v_norm / (1 - 0.9**self.step)
            result[name] = g / grad_norm * (m_norm_hat / (np.sqrt(v_norm_hat) + 1e-8))
            self.state[name] = [m_max, m_norm, v_norm]
        return result


class MedianNorm:
    """icefall's ``_get_clipping_scale`` with ``clipping_update_period=40``, of plain norms, from the second step on."""

    def __init__(self, c):
        self.c, self.step, self.model_norms, self.threshold = c, 0, np.zeros(40), None

    def __call__(self, gradient, loss):
        self.step += 1
        norm = norm_of(gradient)
        self.model_norms[self.step % 40] = norm
        irregular = [i for i in [10, 20, 40] if i < 40]
        if self.step % 40 == 0 or self.step in irregular:
            ordered = np.sort(self.model_norms)
            if self.step in irregular:
                ordered = ordered[-self.step :]
            median = ordered[min(len(ordered) - 1, (len(ordered) // 4) * 2)]
            self.threshold = self.c * median * (2.0 if self.step in irregular else 1.0)
        if self.threshold is None:
            return gradient
        return scaled(gradient, min(1.0, self.threshold / (norm + 1e-6)))  # 1e-6 is clip_grad_norm_'s


class SkipNorm:
    """Megatron-LM and axlearn."""

    def __init__(self, c):
        self.c = c

    def __call__(self, gradient, loss):
        return scaled(gradient, 0.0) if norm_of(gradient) >= self.c else gradient


class SkipZ:
    """OLMo-core's ``get_step_factor`` with ``rolling_interval_length=40``."""

    def __init__(self, c):
        self.c, self.losses, self.norms = c, [], []

    def __call__(self, gradient, loss):
        self.losses, self.norms = [*self.losses, loss][-41:], [*self.norms, norm_of(gradient)][-41:]
        if len(self.losses) < max(20, 40 // 2):
            return gradient
        for values in (self.losses, self.norms):
            if abs(values[-1] - np.mean(values[:-1])) / np.std(values[:-1], ddof=1) > self.c:
                return scaled(gradient, 0.0)
        return gradient


CASES = {
    "rms": (Rms, 0.8),
    "spectral": (Spectral, 1.5),
    "adagc": (AdaGC, 1.05),
    "spam_entry": (SpamEntry, 60.0),
    "stable_spam": (StableSpam, None),
    "median_norm": (MedianNorm, 1.1),
    "skip_norm": (SkipNorm, 10.0),
    "skip_z": (SkipZ, 2.0),
}


class Run:
    """One model's gradients, whose size varies, with a spike now and then, and its reference."""

    def __init__(self, name, seed):
        rule, self.threshold = CASES[name]
        self.name, self.reference = name, rule(self.threshold)
        self._random = np.random.default_rng(seed)

    def next(self):
        """A row [1, P], the loss and what the source makes of the row."""
        spike = 6 if self._random.random() < 0.08 else 1
        size = spike * (1 + 0.3 * self._random.random())
        gradient = {name: size * self._random.normal(size=shape) for name, (shape, _) in SHAPES.items()}
        loss = float(self._random.normal(3, 0.1)) + (2 if self._random.random() < 0.05 else 0)
        return row_of(gradient), loss, row_of(self.reference(gradient, loss))


def row_of(gradient):
    row = torch.zeros(1, LAYOUT.size, dtype=torch.float64)
    for name, view in LAYOUT.views(row).items():
        view[0] = torch.from_numpy(gradient[name])
    return row


def stepped(clip, runs):
    """One step of every run, each compared with its source; which of them were changed."""
    rows, losses, expected = zip(*(run.next() for run in runs), strict=True)
    batch = torch.cat(rows)
    result = clip(batch, torch.ones_like(batch), torch.tensor(losses, dtype=torch.float64))
    torch.testing.assert_close(batch, torch.cat(expected), **CLOSE)
    torch.testing.assert_close(result.applied_norm, torch.cat(expected).norm(dim=1), rtol=1e-10, atol=1e-14)
    assert torch.equal(
        result.skipped, torch.tensor([run.name.startswith("skip_") for run in runs]) & (batch == 0).all(1)
    )
    return result.clipped


@pytest.mark.parametrize("name", CASES)
def test_each_step_is_what_the_source_makes_of_it(name):
    run, clip = Run(name, seed=1), GradientClipper(LAYOUT, 1, STEPS, torch.float64, "cpu")
    clip.assign(0, name, run.threshold)
    changed = [bool(stepped(clip, [run])) for _ in range(STEPS)]
    assert any(changed)
    if name not in ("spectral", "stable_spam", "rms", "adagc"):
        assert not all(changed)


def test_in_company_that_comes_and_goes_each_run_is_as_alone():
    slots, choose = 6, random.Random(3)
    clip, runs = GradientClipper(LAYOUT, slots, STEPS, torch.float64, "cpu"), []
    waiting = [(name, seed) for seed in range(3) for name in CASES]
    steps = dict.fromkeys(CASES, 0)
    while waiting or runs:
        while waiting and len(runs) < slots:
            run = Run(*waiting.pop())
            clip.assign(len(runs), run.name, run.threshold)
            runs.append(run)
        for _ in range(choose.randint(5, 30)):
            stepped(clip, runs)
            for run in runs:
                steps[run.name] += 1
        leaves = choose.randrange(len(runs))
        clip.move(len(runs) - 1, leaves)
        runs[leaves] = runs[-1]
        runs.pop()
    assert min(steps.values()) > 100


def test_an_entry_that_never_had_a_gradient_is_not_clipped_by_spam():
    """The authors' code would hold it at zero for ever: the word of an embedding that comes late."""
    clip = GradientClipper(LAYOUT, 1, STEPS, torch.float64, "cpu")
    clip.assign(0, "spam_entry", 5000.0)
    for step in range(40):
        row = Run("spam_entry", step).next()[0]
        late = LAYOUT.views(row)["embedding"][0, 2]
        if step < 30:
            late.zero_()
        before = late.clone()
        clip(row, row.clone())
        if step <= 30:
            torch.testing.assert_close(late, before)
    assert late.all()


@pytest.mark.parametrize("beyond", [1.0, 30.0])
def test_in_float32_spectral_clipping_is_as_exact_as_it_says(beyond):
    """The largest singular value is so many times the threshold."""
    made = Run("spectral", 5)
    for _ in range(10):
        row = made.next()[0].float()
        largest = max(np.linalg.norm(view[0].reshape(view.shape[1], -1), 2) for view in LAYOUT.views(row).values())
        clip = GradientClipper(LAYOUT, 1, STEPS, torch.float32, "cpu")
        clip.assign(0, "spectral", float(largest / beyond))
        given = {name: view[0].double().numpy() for name, view in LAYOUT.views(row).items()}
        expected = row_of(Spectral(float(largest / beyond))(given, None))
        clip(row, row.clone())
        error = float((row.double() - expected).norm() / expected.norm())
        assert error < 1e-6 * max(1.0, beyond**2 / 10)


@pytest.mark.parametrize("name", ["skip_norm", "skip_z"])
@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_a_step_that_is_not_finite_is_skipped_from_the_first_on(name, broken):
    clip = GradientClipper(LAYOUT, 1, STEPS, torch.float64, "cpu")
    clip.assign(0, name, 100.0)
    for _ in range(3):
        row = torch.ones(1, LAYOUT.size, dtype=torch.float64)
        row[0, 0] = broken
        result = clip(row, row.clone(), torch.ones(1))
        assert result.skipped.all()
        assert (row == 0).all()
        assert float(result.applied_norm) == 0
    row = torch.ones(1, LAYOUT.size, dtype=torch.float64)
    assert not clip(row, row.clone(), torch.ones(1)).skipped.any()


def test_equal_norms_and_losses_are_no_outliers():
    clip = GradientClipper(LAYOUT, 1, STEPS, torch.float64, "cpu")
    clip.assign(0, "skip_z", 6.0)
    for _ in range(60):
        row = torch.ones(1, LAYOUT.size, dtype=torch.float64)
        assert not clip(row, row.clone(), torch.ones(1, dtype=torch.float64)).skipped.any()
