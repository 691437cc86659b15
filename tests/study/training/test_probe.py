import numpy as np
import pandas as pd
import pytest

from gradstudy.models.gradient_scales import SCALES
from gradstudy.models.strategies import STRATEGIES
from gradstudy.models.tasks.pairs import TokenPairs
from gradstudy.study.errors import NothingToMeasureError
from gradstudy.study.search.space import Setting
from gradstudy.study.spec.parts import SearchSpace
from gradstudy.study.spec.seeds import PROBING, derived_seed, trial_seed
from gradstudy.study.spec.study_spec import StudySpec
from gradstudy.study.training.arrays import Ended, Slots, make_array, make_workspace
from gradstudy.study.training.probe import SEEDS, Probe, probe, threshold_range

ALL = SearchSpace(cells=("lstm", "gru"), strategies=tuple(STRATEGIES), learning_rate=(0.01, 100.0))


@pytest.fixture(scope="module")
def short(spec: StudySpec) -> StudySpec:
    return spec.model_copy(update={"space": ALL, "steps": 10})


@pytest.fixture(scope="module")
def shares() -> list[float]:
    return []


@pytest.fixture(scope="module")
def measured(short: StudySpec, data: TokenPairs, shares: list[float]) -> Probe:
    return probe(short, data, "cpu", shares.append)


def test_the_norms_are_those_that_trials_without_clipping_record(
    measured: Probe, short: StudySpec, data: TokenPairs
) -> None:
    # Of runs this short, those that only seem not to recover are left out by chance.
    seeds = (trial_seed(derived_seed(short.seed, PROBING), run) for run in range(SEEDS))
    ended = next(one for one in (alone(short, data, seed) for seed in seeds) if one.result.outcome != "diverged")
    norms = ended.trial.telemetry().grad_norm
    np.testing.assert_allclose(measured.scales.query("cell == 'lstm'")["norm"].iloc[:10], norms, rtol=1e-5)


def alone(short: StudySpec, data: TokenPairs, seed: int) -> Ended[int]:
    """A run at the lowest learning rate."""
    slots = Slots[int](make_array(short, "lstm", data, 1, make_workspace(short, "cpu")), short)
    slots.admit(0, Setting(cell="lstm", strategy="none", threshold=None, learning_rate=0.01), seed)
    return slots.advance()[0]


def test_runs_that_diverge_are_left_out(measured: Probe) -> None:
    assert measured.runs == 2 * 4 * SEEDS
    assert len(measured.scales) == 10 * (measured.runs - measured.diverged)
    assert np.isfinite(measured.scales[list(SCALES)]).all(axis=None)


def test_every_threshold_in_units_of_the_gradient_gets_a_range_and_no_other(measured: Probe, short: StudySpec) -> None:
    assert list(measured.ranges) == ["norm", "value", "param_norm", "normalize", "agc", "skip_norm"]
    space = ALL.model_copy(update={"thresholds": measured.ranges})
    StudySpec.model_validate(short.model_dump() | {"space": space.model_dump()})


def test_progress_is_told_from_beginning_to_end(measured: Probe, shares: list[float]) -> None:
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_a_range_ends_where_one_step_in_a_hundred_is_clipped_and_begins_where_all_are() -> None:
    random = np.random.default_rng(0)
    norms = random.lognormal(0, 0.5, 10_000)
    scales = pd.DataFrame(dict.fromkeys(SCALES, norms)).assign(cell="lstm")
    low, high = threshold_range("norm", scales)
    assert (norms > high).mean() == pytest.approx(0.01, abs=0.005)
    assert (norms > low).mean() > 0.999
    assert low == pytest.approx(np.exp(-1.645 * 0.5) / np.sqrt(10), rel=0.1)


def test_a_range_covers_every_cell_and_strategies_take_their_own_scale() -> None:
    cells = [("lstm", 1.0), ("gru", 10.0)]
    scales = pd.concat(
        pd.DataFrame({scale: [size * (place + 1)] * 10 for place, scale in enumerate(SCALES)}).assign(cell=cell)
        for cell, size in cells
    )
    assert threshold_range("norm", scales) == (pytest.approx(0.31), 10.0)
    assert threshold_range("value", scales) == (pytest.approx(0.63), 30.0)
    assert threshold_range("agc", scales) == (pytest.approx(1.8), 70.0)


def test_where_every_run_diverges_there_is_nothing_to_measure(short: StudySpec, data: TokenPairs) -> None:
    space = ALL.model_copy(update={"learning_rate": (1e6, 1e9)})
    with pytest.raises(
        NothingToMeasureError, match="between learning rates 1e\\+06 and 1e\\+09: begin the range lower"
    ):
        probe(short.model_copy(update={"space": space, "steps": 40}), data, "cpu", lambda _: None)
