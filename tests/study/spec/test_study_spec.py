import json
import re
from typing import Any

import pytest

from gradstudy.models.strategies import SEARCHED_BY_DEFAULT, STRATEGIES
from gradstudy.models.tasks.catalogue import TASKS
from gradstudy.study.errors import SpecError
from gradstudy.study.spec.differences import differences
from gradstudy.study.spec.factors import in_order
from gradstudy.study.spec.study_spec import StudySpec, parse_spec
from gradstudy.study.spec.variations import in_common, own_hyperparameters, variations, varied


def error(**values: Any) -> str:
    with pytest.raises(SpecError) as caught:
        parse_spec({"name": "s"} | values)
    return str(caught.value)


def test_a_spec_survives_json(spec: StudySpec) -> None:
    text = json.dumps(spec.model_dump(mode="json"))
    assert parse_spec(json.loads(text)) == spec


def test_a_name_is_all_that_a_spec_needs() -> None:
    spec = parse_spec({"name": "s"})
    assert spec.space.strategies == SEARCHED_BY_DEFAULT
    assert {spec.space.threshold_range(name) for name in STRATEGIES if STRATEGIES[name].unit is None} == {None}
    assert spec.space.threshold_range("autoclip") == (1.0, 90.0)


def test_a_threshold_range_of_ones_own_replaces_the_catalogues() -> None:
    spec = parse_spec({"name": "s", "space": {"thresholds": {"norm": [0.5, 2]}}})
    assert spec.space.threshold_range("norm") == (0.5, 2.0)
    assert spec.space.threshold_range("value") == (1e-4, 1.0)


@pytest.mark.parametrize("name", ["a", "0", "A.b-c_9", "x" * 100])
def test_plain_names_are_taken(name: str) -> None:
    assert parse_spec({"name": name}).name == name


@pytest.mark.parametrize("name", ["", "a/b", "/a", "..", "../a", ".a", "-a", "a b", "a\n", "ä", "x" * 101])
def test_a_name_that_could_be_a_path_is_refused(name: str) -> None:
    assert error(name=name) == (
        "name must be 1 to 100 letters, digits, dots, dashes or underscores and begin with a letter or digit, "
        f"but got {name!r}"
    )


@pytest.mark.parametrize(
    ("bounds", "shown"),
    [((100, 1), "100:1"), ((1, 1), "1:1"), ((0, 1), "0:1"), ((-1, 1), "-1:1"), ((1, 1e39), "1:1e+39"),
     ((1, float("inf")), "1:inf"), ((float("nan"), 1), "nan:1"), ((1, float("nan")), "1:nan")],
)  # fmt: skip
def test_a_range_must_rise(bounds: tuple[float, float], shown: str) -> None:
    sentence = f"must rise from a positive number to a larger one, at most 3e+38, but got {shown}"
    assert error(space={"learning_rate": bounds}) == f"space.learning_rate {sentence}"
    assert error(space={"thresholds": {"norm": bounds}}) == f"space.thresholds.norm {sentence}"


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"task": "translate"},
         f"there is no task 'translate': choose from {', '.join(task.usage for task in TASKS.values())}, "
         "module:package.module:function"),
        ({"sampler": "best"}, "sampler should be 'auto', 'random', 'qmc', 'tpe', 'frontier' or 'grid', but got 'best'"),
        ({"optimizer": "lion"},
         "optimizer should be 'sgd', 'momentum', 'nesterov', 'adagrad', 'adadelta', 'rmsprop', 'adam', 'adamw', "
         "'nadam', 'radam' or 'own', but got 'lion'"),
        ({"momentum": 0.5}, "momentum is taken by momentum, nesterov, but not by optimizer 'sgd'"),
        ({"optimizer": "adam", "beta2": 1.0}, "beta2 should be less than 1, but got 1.0"),
        ({"optimizer": "adam", "space": {"factors": {"optimizer": ["adam", "sgd"]}}, "beta2": 0.99},
         "'sgd' cannot be a value of factor 'optimizer': beta2 is taken by adam, adamw, nadam, radam, but not by "
         "optimizer 'sgd'"),
        ({"space": {"factors": {"optimizer": ["adam", "sgd"], "beta2": [0.9, 0.99]}}},
         "beta2 is taken by adam, adamw, nadam, radam, but not by optimizer 'sgd'"),
        ({"warmup": 300}, "warmup must be a share below 1 or a whole number of steps below steps (300), but got 300"),
        ({"warmup": 2.5}, "warmup must be a share below 1 or a whole number of steps below steps (300), but got 2.5"),
        ({"halve_every": 5}, "halve_every is taken by schedule 'halving', but not by 'constant'"),
        ({"space": {"cells": ["rnn"]}},
         "space.cells.0 should be 'lstm', 'gru', 'rnn_tanh', 'rnn_relu', 'dense' or 'module', but got 'rnn'"),
        ({"space": {"cells": ["gru", "gru"]}}, "space.cells must name at least one and none twice, but got gru, gru"),
        ({"space": {"cells": []}}, "space.cells must name at least one and none twice, but got none"),
        ({"space": {"strategies": ["norm", "norm"]}},
         "space.strategies must name at least one and none twice, but got norm, norm"),
        ({"space": {"strategies": ["clip"]}},
         f"space.strategies must be among {', '.join(STRATEGIES)}, but got 'clip'"),
        ({"space": {"strategies": ["norm", "none"], "thresholds": {"none": [1, 2]}}},
         "space thresholds are taken by norm, but got one for 'none'"),
        ({"space": {"strategies": ["none"], "thresholds": {"norm": [1, 2]}}},
         "space thresholds are taken by none of the searched strategies, but got one for 'norm'"),
        ({"space": {"thresholds": {"autoclip": [1, 150]}}},
         "space thresholds of 'autoclip' must be at most 100, but got 150"),
        ({"space": {"learning_rate": [1, 2, 3]}},
         "space.learning_rate must be [LOW, HIGH], one number or {values = [A, B, C]}, but got [1, 2, 3]"),
        ({"space": {"learning_rate": ["low", 2]}},
         "space.learning_rate must be [LOW, HIGH], one number or {values = [A, B, C]}, but got ['low', 2]"),
        ({"task": "copy", "task_options": {"symbols": 1}},
         "task 'copy': symbols must be a whole number from 2 to 10000, but got 1"),
        ({"task": "cmudict", "task_options": {"symbols": 5}},
         "task 'cmudict' has no option 'symbols': it takes max_length"),
        ({"task_options": {"max_length": "long"}},
         "task 'cmudict': max_length must be a whole number from 1 to 40, but got 'long'"),
        ({"task": "series"}, "task 'series' needs a file: series:FILE"),
        ({"task": "copy", "loss": "mse"}, "task 'copy' is trained with cross_entropy, but got 'mse'"),
        ({"task": "adding", "loss": "cross_entropy"},
         "task 'adding' is trained with mse or mae or huber, but got 'cross_entropy'"),
        ({"loss": "rmse"}, "loss should be 'cross_entropy', 'mae', 'huber', 'mse' or 'likelihood', but got 'rmse'"),
        ({"task": "regression", "space": {"cells": ["lstm"]}},
         "space.cells of task 'regression' must be dense, but got 'lstm'"),
        ({"space": {"cells": ["dense"]}},
         "space.cells of task 'cmudict' must be lstm or gru or rnn_tanh or rnn_relu, but got 'dense'"),
        ({"task": "temporal_order", "model": {"attention": True}},
         "model.attention needs a decoder, which task 'temporal_order' does not have"),
        ({"task": "temporal_order", "model": {"tied": True}},
         "model.tied needs a decoder, which task 'temporal_order' does not have"),
        ({"task": "sunspots", "model": {"tied": True}},
         "model.tied needs symbols to predict, but task 'sunspots' has real values"),
        ({"task": "sunspots", "model": {"label_smoothing": 0.1}},
         "model.label_smoothing needs symbols to predict, but task 'sunspots' has real values"),
        ({"task": "regression", "model": {"bidirectional": True}},
         "model.bidirectional needs a recurrent encoder, which task 'regression' does not have"),
        ({"model": {"tied": True, "embedding_size": 8}},
         "model.tied needs an embedding_size that is the hidden_size (64), but got 8"),
        ({"model": {"attention": "luong"}},
         "model.attention should be 'none', 'dot' or 'bahdanau', but got 'luong'"),
        ({"model": {"label_smoothing": 1}}, "model.label_smoothing should be less than 1, but got 1"),
        ({"task": "sunspots", "task_options": {"standardize": "perhaps"}},
         "task 'sunspots': standardize must be true or false, but got 'perhaps'"),
        ({"steps": 0}, "steps should be greater than or equal to 1, but got 0"),
        ({"trials": 2.5}, "trials should be a valid integer, got a number with a fractional part, but got 2.5"),
        ({"seed": -1}, "seed should be greater than or equal to 0, but got -1"),
        ({"model": {"dropout": 1}}, "model.dropout should be less than 1, but got 1"),
        ({"model": {"width": 8}},
         "there is no field 'model.width' in a spec; accepted here are "
         "hidden_size, embedding_size, layers, bidirectional, attention, tied, label_smoothing, dropout, "
         "forget_bias, parametrization, base_width"),
        ({"divergence": {"blow_up": 1}}, "divergence.blow_up should be greater than 1, but got 1"),
    ],
)  # fmt: skip
def test_a_wrong_field_is_named_with_what_was_given_and_what_is_accepted(values: dict[str, Any], sentence: str) -> None:
    assert error(**values) == sentence


def test_an_unknown_field_is_refused_and_the_known_ones_are_listed() -> None:
    listed = error(learning_rate=[1, 2]).removeprefix("there is no field 'learning_rate' in a spec; accepted here are ")
    assert listed.split(", ") == list(StudySpec.model_fields)


def test_options_are_taken_as_a_command_line_gives_them() -> None:
    given = {"task": "series:x.csv", "task_options": {"window": "12", "standardize": "false", "columns": "a,b"}}
    assert parse_spec({"name": "s"} | given).task_options == {"window": 12, "standardize": False, "columns": "a,b"}


def test_the_loss_is_the_tasks_own_unless_another_is_given() -> None:
    assert parse_spec({"name": "s"}).trained_loss == "cross_entropy"
    assert parse_spec({"name": "s", "task": "sunspots"}).trained_loss == "mse"
    assert parse_spec({"name": "s", "task": "sunspots", "loss": "huber"}).trained_loss == "huber"


def test_cells_are_the_tasks_own_unless_others_are_given() -> None:
    assert parse_spec({"name": "s", "task": "regression"}).space.cells == ("dense",)
    assert parse_spec({"name": "s", "task": "regression", "space": {"strategies": ["none"]}}).space.cells == ("dense",)
    assert parse_spec({"name": "s", "task": "sunspots"}).space.cells == ("lstm", "gru")


def test_a_spec_without_a_name_is_refused() -> None:
    with pytest.raises(SpecError, match=r"^name is missing$"):
        parse_spec({"task": "copy"})


def test_specs_that_are_equal_do_not_differ(spec: StudySpec) -> None:
    assert differences(spec, parse_spec(spec.model_dump())) == []


def test_exactly_what_differs_is_listed(spec: StudySpec) -> None:
    values = spec.model_dump()
    values["steps"] = 31
    values["model"]["layers"] = 2
    values["task_options"] = {"max_length": 4, "symbols": 9}
    values["space"]["thresholds"] = {"norm": (1, 2)}
    assert differences(spec, parse_spec(values)) == [
        "task_options.examples: 200 -> None",
        "task_options.symbols: None -> 9",
        "model.layers: 1 -> 2",
        "steps: 30 -> 31",
        "space.thresholds.norm: [0.02, 0.05] -> [1.0, 2.0]",
    ]


def test_what_every_optimizer_of_a_study_takes_can_be_given_or_varied() -> None:
    factors = {
        "optimizer": ["adam", "nadam"],
        "beta2": [0.9, 0.99],
        "schedule": ["halving", "cosine"],
        "warmup": [0, 0.1],
    }
    spec = parse_spec({"name": "s", "epsilon": 1e-3, "space": {"factors": factors}})
    each = variations(spec)
    assert len(each) == 16
    assert {one.named_optimizer.name for one in each} == {"adam", "nadam"}
    assert {one.named_optimizer.values["beta2"] for one in each} == {0.9, 0.99}
    assert {one.learning_rates.warmup for one in each} == {0, 30}
    assert {one.named_optimizer.values["epsilon"] for one in each} == {1e-3}


SEARCHED = {"beta2": [0.9, 0.9999], "weight_decay": [1e-5, 1]}


def test_what_an_optimizer_takes_can_be_searched_on_a_range_and_is_spread_evenly_then() -> None:
    spec = parse_spec({"name": "s", "optimizer": "adam", "space": {"hyperparameters": SEARCHED}})
    assert spec.space.hyperparameters == {"beta2": (0.9, 0.9999), "weight_decay": (1e-5, 1.0)}
    assert spec.sampler == "qmc"
    assert parse_spec(spec.model_dump(mode="json")) == spec


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optimizer": "sgd"}, "beta2 is taken by adam, adamw, nadam, radam, but not by optimizer 'sgd'"),
        ({"beta2": 0.5}, "beta2 is searched and cannot be given, too, but got 0.5"),
        ({"sampler": "auto"}, "sampler 'auto' cannot search beta2, weight_decay: use qmc, random or tpe"),
        ({"sampler": "frontier"}, "sampler 'frontier' cannot search beta2, weight_decay: use qmc, random or tpe"),
        ({"sampler": "grid"}, "beta2 is searched from 0.9 to 0.9999"),
        (
            {"task": "module:x:f", "optimizer": "own"},
            "beta2 is not taken by optimizer 'own': set it in your own function",
        ),
    ],
)
def test_a_range_that_cannot_be_searched_is_refused(changes: dict[str, object], message: str) -> None:
    values = {"name": "s", "optimizer": "adam", "space": {"hyperparameters": SEARCHED}}
    with pytest.raises(SpecError, match=re.escape(message)):
        parse_spec(values | changes)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"hyperparameters": {"beta2": [0.9, 1]}}, "beta2 must rise from at least 0 to less than 1, but got 0.9:1"),
        (
            {"hyperparameters": {"epsilon": [0, 1]}},
            "epsilon must rise from a positive number to at most 1",
        ),
        (
            {"hyperparameters": {"dropout": [0.1, 0.2]}},
            "'dropout' cannot be searched on a range: accepted are",
        ),
        (
            {"hyperparameters": {"beta2": [0.9, 0.99]}, "factors": {"beta2": [0.9, 0.99]}},
            "beta2 is searched on a range or varied by values: give one of the two",
        ),
    ],
)
def test_a_range_that_is_none_is_refused(space: dict[str, object], message: str) -> None:
    with pytest.raises(SpecError, match=re.escape(message)):
        parse_spec({"name": "s", "optimizer": "adam", "space": space})


def test_trials_share_an_array_whatever_hyperparameters_they_have() -> None:
    """What it has in common with each, and what each has of its own, make the trial's own spec."""
    factors = {"beta2": ["none", 0.99], "optimizer": ["adam", "nadam"]}
    spec = parse_spec({"name": "s", "beta2": 0.5, "space": {"factors": factors}})
    trials = [in_order({"beta2": beta2, "optimizer": name}) for beta2 in factors["beta2"] for name in ("adam", "nadam")]
    assert len({in_common(spec, each) for each in trials}) == 2
    for each in trials:
        in_array = varied(spec, in_common(spec, each)).named_optimizer
        own = {**in_array.values, **own_hyperparameters(spec, each)}
        assert (in_array.name, own) == (each[1][1], varied(spec, each).named_optimizer.values)


def test_an_option_of_ones_own_function_is_no_hyperparameter_of_a_slot() -> None:
    factors = {"beta2": [0.9, 0.99]}
    spec = parse_spec({"name": "s", "task": "module:x:f", "optimizer": "own", "space": {"factors": factors}})
    assert in_common(spec, (("beta2", 0.9),)) == (("beta2", 0.9),)
    assert own_hyperparameters(spec, (("beta2", 0.9),)) == {}
