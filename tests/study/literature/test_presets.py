from collections.abc import Iterator
from typing import Any

import optuna
import pytest
from simulated import frame_of, simulated_study

from gradstudy.models.strategies import STRATEGIES
from gradstudy.study.errors import SpecError
from gradstudy.study.literature.expectations import Expectation, Group
from gradstudy.study.literature.presets import PRESETS, planned, preset_values, verdicts
from gradstudy.study.report.report import build_report
from gradstudy.study.search.from_spec import make_sampler
from gradstudy.study.search.space import suggest
from gradstudy.study.spec.parts import SearchSpace
from gradstudy.study.spec.study_spec import parse_spec
from gradstudy.study.spec.variations import variations
from gradstudy.study.training.data import load_data

WITHOUT = Group(name="without clipping", strategies=("none",))
WITH = Group(name="with it", strategies=("norm",))


def runs_of(strategy: str, diverged: int, runs: int, **given: Any) -> Iterator[dict[str, Any]]:
    for number in range(runs):
        lost = {"outcome": "diverged"} if number < diverged else {}
        yield {"strategy": strategy, "learning_rate": 1 + number / 100, "seed": number, **lost, **given}


def regression(without: int, clipped: int) -> str:
    trials = frame_of([*runs_of("none", without, 10), *runs_of("norm", clipped, 10), *runs_of("value", 0, 10)])
    [verdict] = verdicts({"preset": "regression"}, trials)
    return verdict


def test_all_and_none_agrees_only_with_all_and_none() -> None:
    assert regression(10, 0) == (
        "The literature expects every run to diverge without clipping and none with it; found: 10 of 10 runs without "
        "clipping (72% to 100%) and 0 of 20 runs with clipping (0% to 16%) diverged: this agrees."
    )
    assert "9 of 10 runs without clipping" in regression(9, 0)
    assert regression(9, 0).endswith("diverged: this contradicts it.")
    assert regression(10, 1).endswith("diverged: this contradicts it.")


@pytest.mark.parametrize(
    ("without", "clipped", "conclusion"),
    [
        # Newcombe 1998, table II, method 10: 56/70 less 48/80.
        (56, 48, "a difference of +20 points (95% interval +5 to +33): this agrees."),
        (30, 70, "a difference of -45 points (95% interval -57 to -30): this contradicts it."),
        (28, 35, "(95% interval -19 to +12): this contradicts it, as less than 20 points are not worth seeing."),
        (42, 40, "this cannot be told apart, as 70 and 80 settings show a difference of 23 points with a probability"),
    ],
)
def test_a_claim_agrees_contradicts_or_cannot_be_told_apart(without: int, clipped: int, conclusion: str) -> None:
    expectation = Expectation(literature="more", first=WITHOUT, second=WITH)
    trials = frame_of([*runs_of("none", without, 70), *runs_of("norm", clipped, 80)])
    assert conclusion in expectation.verdict(trials)


@pytest.mark.parametrize(
    ("first", "runs", "conclusion"),
    [
        (100, 200, ": this agrees."),
        (20, 40, ": this cannot be told apart, as 40 and 40 settings show no difference to within 35 points, if there"),
        (38, 40, ": this contradicts it."),
    ],
)
def test_no_difference_is_claimed_to_within_what_is_worth_seeing(first: int, runs: int, conclusion: str) -> None:
    expectation = Expectation(literature="none", first=WITHOUT, second=WITH, expected="no difference")
    trials = frame_of([*runs_of("none", first, runs), *runs_of("norm", runs // 2, runs)])
    assert conclusion in expectation.verdict(trials)


def test_a_group_may_hold_a_range_of_learning_rates() -> None:
    group = Group(name="low", strategies=("none",), learning_rates=(1.0, 1.05))
    assert len(group.of(frame_of(runs_of("none", 0, 10)))) == 5  # 1.00 to 1.04
    space = SearchSpace(strategies=("none", "norm"), learning_rate=(0.1, 1000), factors={"loss": ("mse", "mae")})
    decade = Group(name="", strategies=("none",), factors={"loss": "mse"}, learning_rates=(1.0, 10.0))
    assert decade.size(space, 161) == 10


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_has_runs_enough_to_show_a_difference_that_is_worth_seeing(name: str) -> None:
    for expectation, first, second in planned(name):
        assert expectation.smallest(first, second) <= expectation.worth_seeing


@pytest.mark.parametrize("name", ["sunspots", "length", "scaling"])
def test_the_sizes_that_are_planned_are_those_of_the_studys_settings(name: str) -> None:
    """With the study's own sampler, which places them without training anything."""
    spec = parse_spec(preset_values(name))
    study = optuna.create_study(sampler=make_sampler(spec))
    settings = [suggest(study.ask(), spec) for _ in range(spec.trials)]
    trials = frame_of([{**vars(setting), "factors": dict(setting.factors)} for setting in settings])
    for expectation, *sizes in planned(name):
        for group, size in zip((expectation.first, expectation.second), sizes, strict=True):
            assert len(group.of(trials)) == pytest.approx(size, rel=0.15)


def test_success_is_a_low_validation_loss_and_is_counted_by_length() -> None:
    expectation = Expectation(literature="x", first=WITH, second=WITHOUT, solved_below=0.01, by="length")
    short, long = {"factors": {"length": 10}}, {"factors": {"length": 50}}
    trials = frame_of(
        [
            *runs_of("norm", 0, 8, validation_loss=0.005, **short),
            *runs_of("none", 2, 8, validation_loss=0.005, **short),
            *runs_of("norm", 0, 4, validation_loss=0.02, **long),
            *runs_of("none", 0, 5, validation_loss=0.02, **long),
        ]
    )
    verdict = expectation.verdict(trials)
    assert "8 of 12 runs with it" in verdict
    assert "6 of 13 runs without clipping" in verdict
    assert verdict.endswith("By length: length 10 8 of 8 and 6 of 8, length 50 0 of 4 and 0 of 5.")


def test_replicates_of_a_setting_count_once_in_the_interval() -> None:
    expectation = Expectation(literature="x", first=WITHOUT, second=WITH)
    once = [{"strategy": "none", "outcome": "diverged"}, {"strategy": "norm"}]
    trials = frame_of([row | {"seed": seed} for row in once for seed in range(50)])
    assert "50 of 50 runs without clipping (21% to 100%)" in expectation.verdict(trials)  # Wilson's of 1 of 1


def test_groups_hold_the_runs_of_their_factors_only() -> None:
    group = Group(name="raw", strategies=("none",), factors={"standardize": False})
    rows = [
        {"strategy": strategy, "factors": {"standardize": switch, "loss": "mse"}}
        for strategy in ("none", "norm")
        for switch in (True, False)
    ]
    assert group.of(frame_of(rows)).index.tolist() == [1]


def test_nothing_is_claimed_of_a_study_that_has_no_runs_or_no_preset() -> None:
    [verdict] = verdicts({"preset": "regression"}, frame_of(runs_of("none", 3, 3)))
    assert verdict.endswith("there are no runs to compare.")
    assert verdicts({"preset": None}, frame_of(runs_of("none", 3, 3))) == []


def test_a_report_of_a_preset_tells_its_verdict_and_what_room_its_rule_gives() -> None:
    trials = frame_of([*runs_of("none", 10, 10), *runs_of("norm", 0, 10)])
    report = build_report(simulated_study(preset="regression"), trials)
    assert report.verdicts == verdicts({"preset": "regression"}, trials)
    roomy = build_report(simulated_study(divergence={"version": 1, "no_recovery_above": 1.25}), trials)
    assert any("only beyond 1.25 times that loss" in caveat for caveat in roomy.caveats)
    assert not any("beyond" in caveat for caveat in report.caveats)


@pytest.mark.parametrize("name", [name for name, preset in PRESETS.items() if preset.spec["task"] != "cmudict"])
def test_a_preset_is_a_spec_whose_data_can_be_loaded_and_whose_groups_are_searched(name: str) -> None:
    spec = parse_spec(preset_values(name))
    assert (spec.name, spec.preset) == (name, name)
    load_data(variations(spec)[-1])
    for expectation in PRESETS[name].expectations:
        for group in (expectation.first, expectation.second):
            assert set(group.strategies) <= set(spec.space.strategies) <= set(STRATEGIES)
            assert all(value in spec.space.factors[factor] for factor, value in group.factors.items())


def test_an_unknown_preset_is_refused_with_those_there_are() -> None:
    with pytest.raises(SpecError, match=r"there is no preset 'x': choose from regression, sunspots, length"):
        preset_values("x")
