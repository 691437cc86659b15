import math

import pytest
import torch

from gradstudy.models.clipping import GradientClipper
from gradstudy.models.gradient_scales import SCALES, gradient_scales
from gradstudy.models.parameters import ParameterLayout

LAYOUT = ParameterLayout({"weight": ((5, 7), 1), "bias": ((7,), None), "embedding": ((3, 4), 0)})
LARGEST = {
    "norm": "norm",
    "value": "largest_entry",
    "param_norm": "largest_parameter",
    "agc": "largest_unit_ratio",
}


def rows(seed: int, models: int = 3) -> torch.Tensor:
    made = torch.zeros(models, LAYOUT.size, dtype=torch.float64)
    torch.manual_seed(seed)
    for parameter in LAYOUT.parameters:
        parameter.view(made).normal_()
    return made


def test_each_scale_is_that_of_plain_loops_over_parameters_and_units() -> None:
    gradients, weights = rows(1), rows(2)
    for model, scales in enumerate(gradient_scales(LAYOUT, gradients, weights)):
        parts = [(p.view(gradients)[model], p.view(weights)[model], p.unit_axis) for p in LAYOUT.parameters]
        entries = torch.cat([gradient.flatten() for gradient, _, _ in parts])
        norms = [gradient.norm().item() for gradient, _, _ in parts]
        ratios = []
        for gradient, weight, axis in parts:
            units = (
                [(gradient, weight)]
                if axis is None
                else [*zip(gradient.unbind(axis), weight.unbind(axis), strict=True)]
            )
            ratios += [(g.norm() / w.norm()).item() for g, w in units]
        expected = [
            entries.norm().item(),
            entries.square().mean().sqrt().item(),
            entries.abs().max().item(),
            math.sqrt(sum(norm**2 for norm in norms) / 3),
            max(norms),
            math.sqrt(sum(ratio**2 for ratio in ratios) / len(ratios)),
            max(ratios),
        ]
        assert scales.tolist() == pytest.approx(expected)
        assert len(ratios) == 7 + 1 + 3


@pytest.mark.parametrize("strategy", LARGEST)
def test_a_threshold_above_the_largest_changes_nothing_and_one_below_does(strategy: str) -> None:
    gradients, weights = rows(3), rows(4)
    largest = gradient_scales(LAYOUT, gradients, weights)[:, SCALES.index(LARGEST[strategy])]
    for factor, changes in ((1.01, False), (0.99, True)):
        clipper = GradientClipper(LAYOUT, 3, 1, torch.float64, "cpu")
        for slot, threshold in enumerate(largest.tolist()):
            clipper.assign(slot, strategy, factor * threshold)
        assert clipper(gradients.clone(), weights).clipped.tolist() == [changes] * 3
