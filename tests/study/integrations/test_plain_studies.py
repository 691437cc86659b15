"""Reports of studies that programs wrote with Optuna alone, against what is known of them in closed form."""

import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import plain_programs as programs
import pytest
from optuna.trial import FrozenTrial, TrialState

from gradstudy.study import open_study
from gradstudy.study.errors import UnreadableStudyError
from gradstudy.study.report.html import html_report


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'optuna.db'}"


def rate(trial: FrozenTrial) -> float:
    """The learning rate of a trial of any of the programs."""
    if "log_lr" in trial.params:
        return float(10 ** trial.params["log_lr"])
    return float(
        next(value for name, value in trial.params.items() if name.split("_", 1)[-1] in RATES or name in RATES)
    )


RATES = ("lr", "learning_rate")


def truth(trial: FrozenTrial) -> str:
    return "diverged" if rate(trial) > programs.EDGE else "trained"


def outcomes(name: str, url: str, **said: Any) -> dict[int, str]:
    with open_study(name, url, **said) as study:
        rows = study.trials()
    return dict(zip(rows["number"], rows["outcome"], strict=True))


@pytest.mark.sampled
@pytest.mark.parametrize(
    "program",
    [
        programs.returns_nan, programs.raises, programs.returns_a_large_number, programs.returns_inf,
        programs.of_exponents, programs.of_each_optimizer,
    ],
)  # fmt: skip
def test_a_run_diverged_where_its_learning_rate_is_beyond_the_edge(
    url: str, program: Callable[[optuna.Trial], float]
) -> None:
    study = programs.run(program, url)
    assert outcomes("plain", url) == {trial.number: truth(trial) for trial in study.trials}
    with open_study("plain", url) as opened:
        report = opened.summary()
    best = report.recommendation
    assert best is not None
    assert 5e-3 < best.setting.learning_rate < programs.EDGE
    assert f"lr={best.setting.learning_rate:.3g}" in best.pytorch
    bracketed = report.frontiers.dropna(subset=["frontier"])
    assert len(bracketed)
    assert bracketed["frontier"].between(0.3, 3).all()
    assert (report.strategies["diverged"].sum(), report.strategies["runs"].sum()) == (
        sum(truth(trial) == "diverged" for trial in study.trials),
        len(study.trials),
    )


def test_failures_of_the_machine_are_no_divergences(url: str) -> None:
    study = programs.run(programs.fails_now_and_then, url)
    failed = {trial.number for trial in study.trials if trial.number % 5 == 3}
    found = outcomes("plain", url)
    assert found == {trial.number: "failed" if trial.number in failed else "trained" for trial in study.trials}
    assert outcomes("plain", url, failures="diverged") == {
        number: "diverged" if number in failed else outcome for number, outcome in found.items()
    }
    with open_study("plain", url) as opened:
        assert any("12 trials failed" in caveat and "neither way" in caveat for caveat in opened.summary().caveats)


def test_pruned_runs_are_censored_and_reports_are_judged(url: str) -> None:
    study = programs.run(programs.prunes, url, pruner=optuna.pruners.MedianPruner(n_startup_trials=5))
    found = outcomes("plain", url)
    for trial in study.trials:
        reported = list(trial.intermediate_values.values())
        if any(not math.isfinite(value) or value > 1e4 for value in reported):
            assert found[trial.number] == "diverged"
        elif trial.state is TrialState.PRUNED and max(reported) <= programs.UNTRAINED:
            assert found[trial.number] == "pruned"
        elif rate(trial) <= programs.EDGE:
            assert found[trial.number] == "trained"
    assert set(found.values()) == {"pruned", "diverged", "trained"}
    with open_study("plain", url) as opened:
        report = opened.summary()
        assert report.outcomes["pruned"] == list(found.values()).count("pruned")
        assert not report.survival.empty
        steps = opened.steps([0])
    assert steps["loss"].tolist() == pytest.approx(list(study.trials[0].intermediate_values.values()))


def test_the_objective_that_is_called_a_loss_is_reported(url: str) -> None:
    study = programs.run(programs.of_two_objectives, url, directions=["minimize", "minimize"])
    with pytest.raises(UnreadableStudyError, match="2 objectives"):
        open_study("plain", url)
    with open_study("plain", url, objective=1) as opened:
        losses = opened.trials()["validation_loss"].tolist()
    assert losses == [trial.values[1] for trial in study.trials]
    with pytest.warns(optuna.exceptions.ExperimentalWarning):
        study.set_metric_names(["parameters", "validation_loss"])
    with open_study("plain", url) as opened:
        assert opened.trials()["validation_loss"].tolist() == losses
        assert any("validation_loss" in caveat for caveat in opened.summary().caveats)
    with pytest.raises(UnreadableStudyError, match="no objective 'accuracy'"):
        open_study("plain", url, objective="accuracy")


def test_learning_rates_may_be_categories(url: str) -> None:
    space = {"lr": [1e-3, 1e-2, 1e-1, 10.0], "optimizer": programs.OPTIMIZERS}
    study = programs.run(programs.of_categories, url, 12, sampler=optuna.samplers.GridSampler(space, seed=0))
    assert outcomes("plain", url) == {trial.number: truth(trial) for trial in study.trials}
    with open_study("plain", url) as opened:
        report = opened.summary()
    assert report.recommendation is not None
    assert report.recommendation.setting.learning_rate in (0.01, 0.1)
    assert not any("Which sampler" in caveat for caveat in report.caveats)


def test_accuracy_is_read_as_its_negative_and_shown_as_it_is(url: str) -> None:
    study = programs.run(programs.of_accuracy, url, 40, direction="maximize", pruner=optuna.pruners.NopPruner())
    with open_study("plain", url) as opened:
        rows, report = opened.trials(), opened.summary()
    assert rows["validation_loss"].tolist() == [-trial.value for trial in study.trials]  # type: ignore[operator]
    assert set(rows["outcome"]) == {"trained"}
    assert report.recommendation is not None
    assert report.recommendation.setting.learning_rate > 0.03
    from gradstudy.study.report.sentences import evidence

    assert "An objective of 0." in evidence(report)[0]
    assert any("maximises" in caveat for caveat in report.caveats)


def test_clipping_by_name_is_a_strategy_with_its_threshold(url: str) -> None:
    study = programs.run(programs.of_clipping, url)
    with open_study("plain", url) as opened:
        rows = opened.trials().set_index("number")
    for trial in study.trials:
        clipped = trial.params["gradient_clip_val"] == 0.5
        assert rows.loc[trial.number, "strategy"] == ("norm" if clipped else "none")
        assert (rows.loc[trial.number, "threshold"] == 0.5) == clipped
        if not clipped:
            assert rows.loc[trial.number, "outcome"] == truth(trial)


def test_a_constraint_about_divergence_is_believed_and_others_leave_a_trial_out(url: str) -> None:
    study = programs.run(programs.under_constraints, url)
    expected = {trial.number: truth(trial) for trial in study.trials if trial.params["units"] <= 400}
    assert outcomes("plain", url) == expected
    with open_study("plain", url) as opened:
        assert any("memory" in caveat for caveat in opened.summary().caveats)


@pytest.mark.parametrize("penalty", [sys.float_info.max, 1e200])
def test_values_of_any_size_are_reported(url: str, penalty: float) -> None:
    """Those that squares of have no room in a float, beside losses that are as good as nothing."""
    study = optuna.create_study(study_name="plain", storage=url)
    for lr in (0.001, 0.3, 0.49, 0.5, 0.7, 0.93, 1.6, 1.98, 2.1, 2.5, 50.0):
        study.enqueue_trial({"lr": lr})
    study.optimize(lambda trial: min(penalty, programs.returns_nan(trial)), n_trials=11)
    assert outcomes("plain", url) == {trial.number: truth(trial) for trial in study.trials}
    with open_study("plain", url) as opened:
        assert "1e+200" not in html_report(opened.summary(), opened.steps())


def test_a_journal_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "optuna.log"
    study = programs.run(programs.returns_nan, programs.journal(path))
    before = path.read_bytes(), path.stat().st_mtime_ns, sorted(tmp_path.iterdir())
    assert outcomes("plain", f"journal:///{path}") == {trial.number: truth(trial) for trial in study.trials}
    assert (path.read_bytes(), path.stat().st_mtime_ns, sorted(tmp_path.iterdir())) == before


def test_with_the_untrained_loss_runs_that_learned_nothing_have_stalled(url: str) -> None:
    study = programs.run(programs.reports, url, pruner=optuna.pruners.NopPruner())
    found = outcomes("plain", url, untrained=programs.UNTRAINED)
    for trial in study.trials:
        last = programs.descend(rate(trial), 20)[-1]
        assert found[trial.number] == (
            "diverged"
            if not last <= programs.UNTRAINED
            else "stalled"
            if last > 0.99 * programs.UNTRAINED
            else "trained"
        )
    assert "stalled" in found.values()


def test_which_parameter_is_the_learning_rate_can_be_said(url: str) -> None:
    def gan(trial: optuna.Trial) -> float:
        for name in ("generator_lr", "discriminator_lr"):
            trial.suggest_float(name, 1e-3, 1e2, log=True)
        return programs.descend(trial.params["generator_lr"])[-1]

    study = programs.run(gan, url)
    with pytest.raises(UnreadableStudyError, match=r"generator_lr, discriminator_lr; .*--axis learning_rate=NAME"):
        open_study("plain", url)
    with pytest.raises(UnreadableStudyError, match="no parameter 'lr'"):
        open_study("plain", url, axes={"learning_rate": "lr"})
    with pytest.raises(UnreadableStudyError, match="got 'rate'"):
        open_study("plain", url, axes={"rate": "lr"})
    found = outcomes("plain", url, axes={"learning_rate": "generator_lr"})
    assert found == {
        trial.number: "diverged" if trial.params["generator_lr"] > 1 else "trained" for trial in study.trials
    }


def test_a_study_without_trials_has_nothing_to_say(url: str) -> None:
    optuna.create_study(study_name="plain", storage=url)
    with open_study("plain", url) as opened:
        report = opened.summary()
    assert report.recommendation is None
    assert "No trial has ended: nothing can be said yet." in report.caveats
