import numpy as np
import pytest

from gradstudy.study.divergence import DivergenceRule, Verdict
from gradstudy.study.spec.study_spec import StudySpec
from gradstudy.study.training.branch_point import branch_point
from gradstudy.study.training.course import Course


def course(smoothed: list[float], finite: list[bool] | None = None) -> Course:
    """Of a trial whose untrained loss is 3, with noise of 0.1."""
    steps = len(smoothed)
    return Course(
        verdict=Verdict("diverged", "blow_up", steps - 1),
        guarded=False,
        initial_losses=[3.0],
        untrained=3.0,
        losses=np.where(finite or [True] * steps, smoothed, np.nan),
        norms=np.ones(steps),
        smoothed=np.array(smoothed),
        noise=np.full(steps, 0.1),
        scales=np.ones((steps, 7)),
    )


LEARNED = [3 - 0.05 * step for step in range(30)]
"""To 1.55."""


@pytest.mark.parametrize(
    ("smoothed", "step", "first_bad"),
    [
        ([*LEARNED, 1.6, 4.0, 9.0], 21, 31),  # 1.6 is within noise of the lowest
        ([*LEARNED, 4.0, 1.5, 9.0], 22, 32),  # a spike that it recovered from does not count
        ([*LEARNED, *[1.55 + 0.02 * step for step in range(1, 60)]], 24, 34),  # it slowly got worse
        ([2.99, 2.95, 8.0], 0, 2),
        ([4.0, 9.0, 16.0], 0, 0),
    ],
)
def test_the_first_bad_step_follows_the_last_one_near_the_lowest_loss(
    smoothed: list[float], step: int, first_bad: int
) -> None:
    point = branch_point(course(smoothed), StudySpec(name="s"))
    assert (point.step, point.first_bad) == (step, first_bad)


def test_a_step_that_is_not_finite_is_bad_though_the_smoothed_loss_knows_nothing_of_it() -> None:
    spec = StudySpec(name="s", divergence=DivergenceRule(half_life=4))
    point = branch_point(course([*LEARNED, LEARNED[-1]], [True] * 30 + [False]), spec)
    assert (point.step, point.first_bad) == (26, 30)


@pytest.mark.parametrize(
    ("smoothed", "said"),
    [
        ([*LEARNED, 9.0], "Step 29 is the last one at which the smoothed loss was within noise of its lowest, 1.55;"),
        ([3.0, 9.0], "so soon that all begin anew, untrained."),
        ([4.0, 9.0], "From its first step on the trial was worse than untrained"),
    ],
)
def test_it_says_why(smoothed: list[float], said: str) -> None:
    assert said in branch_point(course(smoothed), StudySpec(name="s")).reason
