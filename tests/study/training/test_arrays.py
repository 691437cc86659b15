import itertools
import math

import numpy as np
import pytest
from torch import Tensor

from gradstudy.models.array import TrainingRun
from gradstudy.models.parameters import ParameterLayout
from gradstudy.models.schedules import Schedule
from gradstudy.models.tasks.pairs import TokenPairs
from gradstudy.models.telemetry import Telemetry
from gradstudy.study.divergence import DivergenceMonitor, Verdict
from gradstudy.study.search.space import Setting
from gradstudy.study.spec.study_spec import StudySpec, parse_spec
from gradstudy.study.training.arrays import Ended, Slots, make_array, make_workspace
from gradstudy.study.training.data import load_data
from gradstudy.study.training.trial import Trial

SETTING = Setting(cell="gru", strategy="norm", threshold=1.0, learning_rate=0.5)


@pytest.fixture
def trial() -> Trial:
    """A trial whose untrained model has loss 2 in training and 1 in validation."""
    run = TrainingRun(seed=0, strategy="none", threshold=None, learning_rate=1.0)
    return Trial(run, DivergenceMonitor(2.0), initial_validation_loss=1.0, schedule=Schedule("constant", 100))


def telemetry(*losses: float) -> Telemetry:
    """One slot's steps, every second of them clipped."""
    loss = np.array(losses)[:, None]
    clipped = np.arange(len(losses))[:, None] % 2 == 0
    return Telemetry(loss=loss, grad_norm=loss * 10, applied_norm=loss, clipped=clipped)


@pytest.mark.parametrize(
    ("outcome", "validation_loss", "objective"),
    [("trained", 0.4, 0.4), ("trained", 1.3, 1.0), ("stalled", 0.9, 0.9), ("stalled", math.nan, 1.0),
     ("diverged", math.nan, 1.0), ("diverged", 0.2, 1.0)],
)  # fmt: skip
def test_the_objective_is_the_validation_loss_at_most_that_of_the_untrained_model(
    trial: Trial, outcome: str, validation_loss: float, objective: float
) -> None:
    trial.observe(telemetry(1.9, 1.8), 0)
    assert trial.result(Verdict(outcome), validation_loss).objective == objective  # type: ignore[arg-type]


def test_what_comes_after_a_divergence_is_forgotten(trial: Trial) -> None:
    assert trial.observe(telemetry(1.0, 1.0), 0) is None
    verdict = trial.observe(telemetry(1.0, math.nan, 0.5, 0.5), 0)
    assert verdict == Verdict("diverged", "non_finite_loss", 3)
    result = trial.result(verdict, math.nan)
    assert (result.steps, result.diverged_at_step, result.initial_loss, result.final_loss) == (4, 3, 2.0, 1.0)
    assert (result.grad_norm_p50, result.grad_norm_max, result.clipped_fraction) == (10.0, 10.0, 0.5)
    assert len(trial.telemetry().loss) == 4


def test_slots_train_no_more_steps_than_the_spec_says(spec: StudySpec, data: TokenPairs) -> None:
    spec = spec.model_copy(update={"steps": 13})
    slots = Slots[str](make_array(spec, "gru", data, 2, make_workspace(spec, "cpu")), spec)
    slots.admit("first", SETTING, 1)
    assert slots.advance() == []
    slots.admit("second", SETTING, 1)
    ended = [trial for _ in range(2) for trial in slots.advance()]
    assert [(trial.key, trial.result.steps) for trial in ended] == [("first", 13), ("second", 13)]
    assert slots.keys == []
    np.testing.assert_allclose(ended[0].trial.telemetry().loss, ended[1].trial.telemetry().loss, rtol=1e-4)


def test_the_shape_of_the_models_is_that_of_the_spec(spec: StudySpec, data: TokenPairs) -> None:
    sizes = []
    for changes in ({}, {"layers": 2}, {"attention": "dot"}, {"embedding_size": 8}, {"embedding_size": 9}):
        model = spec.model.model_copy(update=changes)
        array = make_array(spec.model_copy(update={"model": model}), "lstm", data, 1, make_workspace(spec, "cpu"))
        sizes.append(array.parameters.shape[1])
    assert sizes[0] == sizes[3]
    assert len(set(sizes)) == 4


@pytest.mark.parametrize(("loss", "reason"), [("mse", None), ("mae", "blow_up"), ("huber", "blow_up")])
def test_squared_errors_blow_up_at_a_multiple_of_their_own(loss: str, reason: str | None) -> None:
    """Nothing is learned, so that the smoothed loss varies around that of the first batches."""
    spec = parse_spec(
        {
            "name": "s",
            "task": "sunspots",
            "loss": loss,
            "model": {"hidden_size": 4},
            "batch_size": 4,
            "steps": 60,
            "divergence": {"blow_up": 1.001, "blow_up_squared": 1000},
        }
    )
    slots = Slots[int](make_array(spec, "gru", load_data(spec), 1, make_workspace(spec, "cpu")), spec)
    slots.admit(0, Setting(cell="gru", strategy="none", threshold=None, learning_rate=1e-30), 1)
    ended: list[Ended[int]] = []
    while not ended:
        ended = slots.advance()
    assert ended[0].result.reason in ((reason,) if reason else (None, "no_recovery"))


@pytest.mark.parametrize(("strategy", "ends"), [("norm", "non_finite_gradient"), ("skip_norm", None), ("skip_z", None)])
def test_a_step_that_a_rule_skipped_is_no_divergence(
    spec: StudySpec, data: TokenPairs, strategy: str, ends: str | None
) -> None:
    spec = spec.model_copy(update={"steps": 10, "guard": False})
    array = make_array(spec, "gru", data, 1, make_workspace(spec, "cpu"))
    steps = itertools.count()

    def spoil(layout: ParameterLayout, gradients: Tensor, parameters: Tensor, loss: Tensor) -> None:
        if next(steps) in (3, 4):
            gradients[0, 0] = math.inf

    array.watch = spoil
    slots = Slots[str](array, spec)
    slots.admit("one", Setting(cell="gru", strategy=strategy, threshold=100.0, learning_rate=0.1), 1)
    (ended,) = slots.advance()
    telemetry = ended.trial.telemetry()
    assert ended.result.reason == ends
    if ends is None:
        assert ended.result.outcome in ("trained", "stalled")
        assert telemetry.clipped.tolist() == [step in (3, 4) for step in range(10)]
        assert (telemetry.applied_norm == 0).tolist() == telemetry.clipped.tolist()
        assert ended.result.clipped_fraction == 0.2
