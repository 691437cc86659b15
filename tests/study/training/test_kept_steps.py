import numpy as np
import pytest

from gradstudy.study.spec.parts import kept_every
from gradstudy.study.training.summary import steps_to_keep

STEPS = 1000
LOSSES = np.random.default_rng(0).normal(2.0, 0.01, STEPS)
LOSSES[[313, 700]] = 9.0


@pytest.mark.parametrize("keep", [2, 7, 50, 333, 999, 1000, 5000])
def test_of_evenly_spaced_steps_there_are_as_many_as_wanted_and_what_stands_out(keep: int) -> None:
    kept = steps_to_keep(keep, STEPS, LOSSES, None)
    every = kept_every(keep, STEPS)
    assert set(kept) == {*range(0, STEPS, every), 313, 700, STEPS - 1}
    assert len(range(0, STEPS, every)) <= keep
    assert list(kept) == sorted(set(kept))


def test_of_none_only_what_stands_out_is_left() -> None:
    assert steps_to_keep("none", STEPS, LOSSES, None).tolist() == [313, 700, 999]
    lost = np.append(LOSSES[:600], [np.inf, np.nan, np.nan])
    assert steps_to_keep("none", STEPS, lost, 601).tolist() == [313, 600, 601, 602]
    assert steps_to_keep("none", STEPS, lost[:0], None).tolist() == []


def test_of_all_every_step_is_kept() -> None:
    assert steps_to_keep("all", STEPS, LOSSES, 5).tolist() == list(range(STEPS))
