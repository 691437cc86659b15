from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from simulated import frame_of, simulated_study

from gradstudy.study.answer.evidence import RecommendedSetting
from gradstudy.study.horizon.answer import AtHorizon, Measured, Predicted, answer_at_horizon
from gradstudy.study.horizon.in_words import evidence, kind, standing

STEPS = 100
SHORT = RecommendedSetting(number=0, cell="lstm", strategy="norm", threshold=1.0, learning_rate=1.0, factors="")


def rows(steps: int, *losses: tuple[float, float], runs: int = 3, first: int = 0, **given: Any) -> pd.DataFrame:
    """Runs of settings of some learning rates, with the losses of each."""
    random = np.random.default_rng(steps)
    made = [
        {"learning_rate": rate, "validation_loss": loss + random.normal(0, 0.01), "seed": run, **given}
        for rate, loss in losses
        for run in range(runs)
    ]
    return frame_of({"number": first + place, "steps": steps, **row} for place, row in enumerate(made)).assign(
        horizon=steps
    )


KEPT = rows(STEPS, (1.0, 2.0), (0.5, 2.2), (0.25, 2.5))
LOST = rows(
    STEPS, (100.0, 9.0), (300.0, 9.0), first=len(KEPT), outcome="diverged", reason="blow_up", diverged_at_step=5
)
TRIALS = pd.concat([KEPT, LOST], ignore_index=True)
LONGER = pd.concat(
    [rows(400, (1.0, 1.6), (0.5, 1.5), (0.25, 1.7)), rows(1600, (1.0, 1.5), (0.5, 1.0), runs=2)], ignore_index=True
)


def answered(longer: pd.DataFrame = LONGER, **spec: Any) -> AtHorizon | None:
    study = simulated_study(**{"schedule": "cosine", "trials": 288, **spec})
    return answer_at_horizon(study.spec, TRIALS, longer, SHORT)[0]


def test_at_the_longest_runs_it_is_what_was_measured_with_code_for_runs_of_that_length() -> None:
    found = answered()
    assert found is not None
    assert (found.steps, found.short, found.longest, found.is_measured) == (1600, 100, 1600, True)
    assert found.best.setting.learning_rate == 0.5
    assert [(each.steps, each.runs, each.diverged) for each in found.best.measured] == [
        (100, 3, 0), (400, 3, 0), (1600, 2, 0)
    ]  # fmt: skip
    assert found.best.loss == pytest.approx(1.0, abs=0.15)
    assert found.best.setting.number == 3
    assert found.of_short is not None
    assert found.of_short.setting.learning_rate == 1.0
    assert not found.holds
    assert sum(found.best.causes) == pytest.approx(found.best.risk)
    assert "lr=0.5" in found.pytorch
    assert "T_max=1600)" in found.pytorch


def test_a_horizon_beyond_the_longest_runs_is_extrapolated_to() -> None:
    found = answered(horizon=6400)
    assert found is not None
    assert (found.steps, found.is_measured) == (6400, False)
    assert found.best.loss_low <= found.best.loss <= found.best.loss_high
    assert "T_max=6400)" in found.pytorch


def test_longer_runs_beyond_the_horizon_say_nothing_about_it() -> None:
    found = answered(horizon=400)
    assert found is not None
    assert (found.longest, found.best.measured[-1].steps, found.is_measured) == (400, 400, True)


def test_there_is_none_without_longer_runs_and_too_far_away() -> None:
    assert answered(pd.DataFrame()) is None
    short = LONGER[LONGER["horizon"] == 400].assign(horizon=120)
    assert answered(short, horizon=4000) is None


def test_settings_are_told_apart_by_what_is_varied_and_the_code_has_the_values() -> None:
    small, large = ({"hidden_size": size} for size in (16, 32))
    trials = pd.concat(
        [rows(STEPS, (1.0, 2.0), factors=small), rows(STEPS, (1.0, 2.1), factors=large, first=3)], ignore_index=True
    )
    varied = [rows(400, (1.0, 1.5), factors=small | {"guard": True}), rows(400, (1.0, 1.2), factors=large)]
    longer = pd.concat(varied, ignore_index=True)
    study = simulated_study()
    found, table = answer_at_horizon(study.spec, trials, longer, None)
    assert found is not None
    assert found.best.setting.factors == "hidden_size 32"
    assert set(table["factors"]) >= {"hidden_size 32", "guard true, hidden_size 16"}
    assert found.of_short is None


def predicted(rate: float, loss: float, risk: float = 0.02, *measured: Measured) -> Predicted:
    setting = replace(SHORT, number=None, cell="gru", strategy="none", threshold=None, learning_rate=rate)
    known = measured or (Measured(steps=400, runs=2, diverged=0, loss=loss),)
    return Predicted(
        setting=setting, loss=loss, loss_low=loss - 0.1, loss_high=loss + 0.1, risk=risk, risk_low=0.0,
        risk_high=3 * risk, causes=(0.25 * risk, 0.75 * risk, 0.0), measured=known,
    )  # fmt: skip


def said(of_short: Predicted | None, steps: int = 400, risk: float = 0.02) -> list[str]:
    answer = AtHorizon(
        steps=steps,
        short=100,
        longest=400,
        best=predicted(0.5, 1.0, risk),
        of_short=of_short,
        untrained=4.0,
        pytorch="",
    )
    return [kind(answer), standing(answer), *evidence(answer)]


def test_what_was_measured_is_told_from_what_is_extrapolated() -> None:
    assert said(None) == [
        "for 400 steps, measured",
        "measured: by runs of 400 steps",
        "After 400 steps a validation loss of 1 (0.9 to 1.1) is expected, and that 2% of runs have diverged by then "
        "(0% to 6%; both are 90% intervals).",
        "Of those that diverge, 75% lose what they had learned, 25% blow up and 0% have not come back below their "
        "untrained loss by then, by the divergences seen and what is usual.",
        "Measured of it, the mean loss after 400 steps: 1 in 2 runs, 0 diverged.",
        "The answer of the runs of 100 steps is the same.",
    ]
    further = said(None, steps=1600)
    assert further[:2] == [
        "for 1,600 steps, extrapolated",
        "extrapolated: no run of it is longer than 400 steps",
    ]
    assert "is predicted" in further[2]
    assert (
        "Extrapolated: from 400 to 1,600 steps, 4 times beyond its longest runs; no run of it was made there."
        in further
    )


@pytest.mark.parametrize(
    ("loss", "sentence"),
    [(1.05, "ends higher by 0.05 (5%): about as good, within 2% of the untrained loss."),
     (1.5, "ends higher by 0.5 (50%): it does not hold there."),
     (0.8, "ends lower by 0.2, but more of its runs diverge: 30%.")],
)  # fmt: skip
def test_the_answer_of_the_short_runs_holds_where_it_is_about_as_good(loss: float, sentence: str) -> None:
    assert f"The answer of the runs of 100 steps, GRU, none, learning rate 2, {sentence}" in said(
        predicted(2.0, loss, 0.3)
    )


def test_that_it_may_diverge_is_said() -> None:
    assert said(None, risk=0.1)[-1].startswith("That few of its runs diverge by then is not shown: 20% would be")
