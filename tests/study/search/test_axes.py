from typing import Any

import optuna
import pytest

from gradstudy.study.search.axes import find_axes


def trials_of(suggest: Any, *fixed: dict[str, Any]) -> list[optuna.trial.FrozenTrial]:
    """A finished trial for each set of fixed parameters; the others are random."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for parameters in fixed or ({},):
        study.enqueue_trial(parameters)
    study.optimize(lambda trial: suggest(trial) or 1.0, n_trials=max(1, len(fixed)))
    return study.trials


def clipped(trial: optuna.Trial) -> None:
    trial.suggest_categorical("cell", ["lstm", "gru"])
    strategy = trial.suggest_categorical("strategy", ["none", "norm", "value"])
    trial.suggest_float("learning_rate", 1e-3, 10, log=True)
    if strategy != "none":
        trial.suggest_float(f"threshold_{strategy}", 0.01, 1, log=True)


def test_a_threshold_belongs_to_its_strategy_also_in_a_cell_that_was_not_tried() -> None:
    axes = find_axes(
        trials_of(
            clipped,
            {"cell": "lstm", "strategy": "none"},
            {"cell": "lstm", "strategy": "norm"},
            {"cell": "gru", "strategy": "value"},
        )
    )
    assert axes is not None
    assert (axes.learning_rate, axes.factors) == ("learning_rate", ("cell", "strategy"))
    assert axes.carried == {
        ("lstm", "none"): (), ("gru", "none"): (),
        ("lstm", "norm"): ("threshold_norm",), ("gru", "norm"): ("threshold_norm",),
        ("lstm", "value"): ("threshold_value",), ("gru", "value"): ("threshold_value",),
    }  # fmt: skip


def test_the_only_logarithmic_parameter_is_the_learning_rate() -> None:
    def suggest(trial: optuna.Trial) -> None:
        trial.suggest_float("eta", 1e-3, 1, log=True)
        trial.suggest_float("momentum", 0, 1)
        trial.suggest_int("layers", 1, 3)

    axes = find_axes(trials_of(suggest))
    assert axes is not None
    assert (axes.learning_rate, axes.factors, axes.others) == ("eta", (), ())


def test_of_two_logarithmic_parameters_the_learning_rate_must_be_named() -> None:
    def suggest(trial: optuna.Trial) -> None:
        trial.suggest_float("eta", 1e-3, 1, log=True)
        trial.suggest_float("decay", 1e-3, 1, log=True)

    trials = trials_of(suggest)
    with pytest.raises(ValueError, match="say which parameter is the learning rate: eta, decay are all"):
        find_axes(trials)
    named = find_axes(trials, "eta")
    assert named is not None
    assert named.carried == {(): ("decay",)}


def test_a_learning_rate_that_is_not_logarithmic_is_refused() -> None:
    with pytest.raises(ValueError, match="must be a float on a logarithmic axis, but 'momentum' is not"):
        find_axes(trials_of(lambda trial: trial.suggest_float("momentum", 0.1, 1) * 0), "momentum")


def test_trials_that_run_do_not_show_axes() -> None:
    study = optuna.create_study()
    study.ask().suggest_float("eta", 1e-3, 1, log=True)
    assert find_axes(study.trials) is None


def test_groups_that_are_too_many_are_parted_by_the_factor_with_the_fewest_values() -> None:
    axes = find_axes(trials_of(clipped, *({"cell": "lstm", "strategy": name} for name in ("none", "norm"))))
    assert axes is not None
    sizes = {group: 10 if group[1] == "norm" else 1 for group in axes.carried}
    assert axes.blocks(sizes, 24) == [list(axes.carried)]
    by_cell = axes.blocks(sizes, 23)
    assert [{group[0] for group in part} for part in by_cell] == [{"lstm"}, {"gru"}]
    assert axes.blocks(sizes, 11) == [[group] for group in axes.carried]
    part = axes.restricted(by_cell[0])
    assert list(part.carried) == by_cell[0]
    assert part.is_complete(trials_of(clipped, {"cell": "lstm", "strategy": "none"})[0])
    assert not part.is_complete(trials_of(clipped, {"cell": "gru", "strategy": "none"})[0])
