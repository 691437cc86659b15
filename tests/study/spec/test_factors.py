import threading
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import optuna
import pytest
import torch

from gradstudy.models.model_shape import ModelShape
from gradstudy.models.seq2seq import EncoderDecoder
from gradstudy.models.workspace import Workspace
from gradstudy.storage.database import Database
from gradstudy.storage.frames import read_steps, read_trials
from gradstudy.storage.queue import SettingRow
from gradstudy.storage.studies import find_study
from gradstudy.study.answer.confirmation_study import (
    begin_confirmation,
    confirmation_results,
    enqueue_round,
    find_confirmation,
)
from gradstudy.study.errors import SpecError
from gradstudy.study.launch import create_or_resume
from gradstudy.study.report.report import read_report
from gradstudy.study.search.from_spec import make_sampler
from gradstudy.study.search.points import RandomSampler, SobolSampler
from gradstudy.study.search.space import Setting, from_row, suggest
from gradstudy.study.spec.factors import in_order
from gradstudy.study.spec.parts import ModelSpec
from gradstudy.study.spec.study_spec import StudySpec, parse_spec
from gradstudy.study.spec.variations import variations, varied
from gradstudy.study.training.arrays import Slots, make_array, make_workspace
from gradstudy.study.training.data import check_varied_data, load_data
from gradstudy.study.training.probe import probe
from gradstudy.study.training.replay import replay_trial
from gradstudy.study.worker.job import Job
from gradstudy.study.worker.worker import Worker
from tests.study.conftest import Silent

VALUES: dict[str, Any] = {
    "sampler": "qmc",
    "name": "v",
    "task": "adding",
    "task_options": {"examples": 200},
    "model": {"hidden_size": 6},
    "steps": 8,
    "batch_size": 8,
    "trials": 16,
    "space": {
        "strategies": ["none", "norm"],
        "learning_rate": [0.01, 1],  # no run is chaotic: rounded otherwise, it differs by about 1e-6
        "factors": {"length": [10, 14], "loss": ["mse", "huber"], "forget_bias": ["none", 2], "batch_size": [4, 8]},
    },
}


@pytest.fixture(scope="module")
def spec() -> StudySpec:
    return parse_spec(VALUES)


def run(db: Database, spec: StudySpec) -> None:
    record = create_or_resume(db, spec)
    Worker(Job.of(db, record), slots=4, listener=Silent()).run(threading.Event())


def trained_alone(spec: StudySpec, row: dict[Any, Any]) -> Any:
    """A row's setting and seed in a study without factors."""
    setting = replace(from_row(SettingRow.of(row)), factors=())
    slots = Slots[int](make_array(spec, setting.cell, load_data(spec), 1, make_workspace(spec, "cpu")), spec)
    slots.admit(0, setting, int(row["seed"]))
    ended: list[Any] = []
    while not ended:
        ended = slots.advance()
    return ended[0]


def test_a_trial_equals_that_of_a_study_which_has_its_factors_for_fields(db: Database, spec: StudySpec) -> None:
    run(db, spec)
    trials = read_trials(db, "v")
    seen = set()
    for row in trials.to_dict("records"):
        factors = row["factors"]
        seen.add(in_order(factors))
        plain = VALUES | {
            "task_options": {"examples": 200, "length": factors["length"]},
            "loss": factors["loss"],
            "batch_size": factors["batch_size"],
            "model": {"hidden_size": 6}
            | ({} if factors["forget_bias"] == "none" else {"forget_bias": factors["forget_bias"]}),
            "space": {name: part for name, part in VALUES["space"].items() if name != "factors"},
        }
        alone = trained_alone(parse_spec(plain), row)
        assert alone.result.outcome == row["outcome"]
        recorded = read_steps(db, "v", [int(row["number"])])["loss"]
        np.testing.assert_allclose(recorded.to_numpy(), alone.trial.telemetry().loss, rtol=1e-5)
    assert len(seen) == 16
    number = int(trials.loc[trials["outcome"] == "trained", "number"].iloc[0])
    assert replay_trial(db, "v", number).agrees


def test_each_model_and_precision_that_is_varied_is_that_of_a_study_of_its_own(db: Database) -> None:
    factors = {
        "precision": ["float32", "bfloat16"],
        "bidirectional": [True, False],
        "attention": ["none", "dot", "bahdanau"],
        "tied": [True, False],
        "label_smoothing": [0, 0.2],
    }
    values = VALUES | {"task": "copy", "task_options": {"max_length": 4, "examples": 100}, "steps": 4}
    space = {name: part for name, part in VALUES["space"].items() if name != "factors"}
    run(db, parse_spec(values | {"space": space | {"factors": factors}}))
    seen: set[Any] = set()
    for row in read_trials(db, "v").to_dict("records"):
        model = dict(row["factors"])
        seen |= set(model.items())
        precision = model.pop("precision")
        plain = values | {"precision": precision, "model": {"hidden_size": 6} | model, "space": space}
        alone = trained_alone(parse_spec(plain), row)
        recorded = read_steps(db, "v", [int(row["number"])])["loss"].to_numpy()
        np.testing.assert_allclose(recorded, alone.trial.telemetry().loss, rtol=1e-5)
        if precision == "bfloat16":
            exact = trained_alone(parse_spec(plain | {"precision": "float32"}), row)
            assert not np.allclose(recorded, exact.trial.telemetry().loss, rtol=1e-5)
    assert len(seen) == 11


def test_a_confirmation_runs_the_chosen_setting_with_its_factors(db: Database, spec: StudySpec) -> None:
    run(db, spec)
    study, trials = find_study(db, "v"), read_trials(db, "v")
    report = read_report(db, "v")
    begun = begin_confirmation(db, study, 1, 6)
    assert enqueue_round(db, begun, 0.5, 6)
    confirmation = find_confirmation(db, study)
    assert confirmation is not None
    run(db, parse_spec(confirmation.record.spec))
    table, fresh = confirmation_results(db, confirmation)
    chosen = trials.loc[trials["number"] == report.recommendation.setting.number, "factors"].iloc[0]  # type: ignore[union-attr]
    assert fresh["factors"].tolist() == [chosen] * 6
    assert table["runs"].sum() == 6
    assert read_report(db, "v").recommendation.evidence.fresh is not None  # type: ignore[union-attr]


def test_a_probe_runs_each_combination(spec: StudySpec) -> None:
    few = parse_spec(
        VALUES
        | {"steps": 3, "space": VALUES["space"] | {"cells": ["gru"], "factors": {"length": [10, 14], "layers": [1, 2]}}}
    )
    measured = probe(few, load_data(few), "cpu", lambda share: None)
    assert measured.runs == 4 * 16


def test_the_forget_bias_is_that_of_a_torch_lstm_with_the_bias_set() -> None:
    shape = ModelShape(
        cell="lstm", source_features=2, target_features=1, embedding_size=5, hidden_size=5, layers=2, decoder=False,
        loss="mse", forget_bias=1.5,
    )  # fmt: skip
    model = EncoderDecoder(shape, Workspace(torch.float64, torch.device("cpu")))
    flat = model.initialize(3, torch.float64).unsqueeze(0)
    torch.manual_seed(3)
    reference = torch.nn.LSTM(2, 5, 2, dtype=torch.float64)
    with torch.no_grad():
        for layer in range(2):
            getattr(reference, f"bias_ih_l{layer}")[5:10] = 1.5
            getattr(reference, f"bias_hh_l{layer}")[5:10] = 0
    for name, parameter in reference.named_parameters():
        mine = model.layout.views(flat)[f"encoder.{name}"][0]
        torch.testing.assert_close(mine.T if mine.ndim == 2 else mine, parameter.detach())


def test_a_gru_has_no_forget_gate_to_bias() -> None:
    made = []
    for bias in (None, 3.0):
        shape = ModelShape(
            cell="gru", source_features=2, target_features=1, embedding_size=5, hidden_size=5, decoder=False,
            loss="mse", forget_bias=bias,
        )  # fmt: skip
        made.append(EncoderDecoder(shape, Workspace(torch.float32, torch.device("cpu"))).initialize(0, torch.float32))
    assert torch.equal(*made)


@pytest.mark.parametrize("trials", [32, 64])
def test_every_choice_of_factors_gets_an_equal_share_of_sobol_points(spec: StudySpec, trials: int) -> None:
    study = optuna.create_study(sampler=make_sampler(spec))
    settings = [suggest(study.ask(), spec) for _ in range(trials)]
    for name, values in spec.space.factors.items():
        assert Counter(dict(setting.factors)[name] for setting in settings) == dict.fromkeys(values, trials // 2)
    combinations = Counter(setting.factors for setting in settings)
    assert set(combinations.values()) == {trials // 16}
    assert len({setting.learning_rate for setting in settings}) == trials


def test_where_there_is_room_every_combination_of_factors_gets_the_same_points(spec: StudySpec) -> None:
    long = spec.model_copy(update={"trials": 8 * 16})
    study = optuna.create_study(sampler=make_sampler(long))
    settings = [suggest(study.ask(), long) for _ in range(8 * 16)]
    by_combination: dict[Any, list[Setting]] = {}
    for setting in settings:
        by_combination.setdefault(setting.factors, []).append(replace(setting, factors=()))
    plain = parse_spec(VALUES | {"space": {name: part for name, part in VALUES["space"].items() if name != "factors"}})
    alone = optuna.create_study(sampler=make_sampler(plain))
    points = [suggest(alone.ask(), plain) for _ in range(8)]
    assert len(by_combination) == 16
    assert all(of_one == points for of_one in by_combination.values())
    assert [setting.factors for setting in settings[:16]] != [setting.factors for setting in settings[16:32]]


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_other_samplers_reach_every_value_too(spec: StudySpec, sampler: str) -> None:
    given = spec.model_copy(update={"sampler": sampler})
    study = optuna.create_study(sampler=make_sampler(given))
    settings = [suggest(study.ask(), given) for _ in range(10)]
    for name, values in spec.space.factors.items():
        assert {dict(setting.factors)[name] for setting in settings} == set(values)


def test_points_of_studies_without_factors_are_those_of_a_sampler_of_four_axes() -> None:
    # The scrambled sequence as it was before there were factors.
    points = torch.quasirandom.SobolEngine(4, scramble=True, seed=5).draw(6, dtype=torch.float64).numpy()
    np.testing.assert_array_equal([SobolSampler(5).point(place) for place in range(6)], points)
    np.testing.assert_array_equal(RandomSampler(5).point(3), np.random.default_rng([5, 3]).random(4))


def test_attention_that_was_a_switch_is_read_as_what_it_was() -> None:
    stored = VALUES | {"task": "copy", "task_options": {}, "space": {"factors": {"attention": [True, False]}}}
    made = parse_spec(stored)
    assert made.space.factors == {"attention": (True, False)}  # as the trials of that study hold it
    assert [each.model.attention for each in variations(made)] == ["dot", "none"]
    assert parse_spec(
        VALUES | {"task": "copy", "task_options": {}, "space": {}, "model": {"attention": True}}
    ).model == (ModelSpec(attention="dot"))
    named = stored | {"space": {"factors": {"attention": ["none", "dot", "bahdanau"]}}}
    assert parse_spec(named).space.factors == {"attention": ("none", "dot", "bahdanau")}
    with pytest.raises(SpecError, match="must have different values, but got 'dot' twice"):
        parse_spec(stored | {"space": {"factors": {"attention": ["true", "dot"]}}})


def test_values_are_understood_as_the_fields_they_stand_for(spec: StudySpec) -> None:
    factors = {"window": ["5", "10"], "standardize": ["true", "false"], "dropout": ["0", "0.5"]}
    factors["attention"] = ["true", "false"]
    made = parse_spec(VALUES | {"task": "sunspots", "task_options": {}, "space": {"factors": factors}})
    assert made.space.factors == {
        "window": (5, 10), "standardize": (True, False), "dropout": (0.0, 0.5), "attention": (True, False)
    }  # fmt: skip
    assert parse_spec(made.model_dump(mode="json")) == made
    first, *_, last = variations(made)
    assert (first.task_options, first.model.dropout, first.model.attention) == (
        {"window": 5, "standardize": True},
        0.0,
        "dot",
    )
    assert (last.task_options, last.model.dropout, last.model.attention) == (
        {"window": 10, "standardize": False},
        0.5,
        "none",
    )
    assert len(variations(made)) == 16
    biased = varied(spec, (("forget_bias", 2.0), ("length", 14)))
    assert (biased.model.forget_bias, biased.task_options["length"], biased.space.factors) == (2.0, 14, {})


@pytest.mark.parametrize(
    ("factors", "sentence"),
    [
        (
            {"width": ["1"]},
            "there is no factor 'width' to vary: accepted are loss, precision, batch_size, optimizer, guard, momentum, "
            "beta1, beta2, epsilon, weight_decay, schedule, warmup, halve_every, hidden_size, embedding_size, layers, "
            "bidirectional, attention, tied, label_smoothing, dropout, forget_bias, parametrization and of "
            "task 'adding' length, examples, seed",
        ),
        (
            {"length": ["10", "long"]},
            "'long' cannot be a value of factor 'length': task 'adding': length must be a whole number from 10 to "
            "10000, but got 'long'",
        ),
        (
            {"layers": ["0"]},
            "'0' cannot be a value of factor 'layers': model.layers should be greater than or equal to 1, but got '0'",
        ),
        (
            {"loss": ["cross_entropy"]},
            "'cross_entropy' cannot be a value of factor 'loss': task 'adding' is trained with mse or mae or huber, "
            "but got 'cross_entropy'",
        ),
        (
            {"attention": ["true"]},
            "'true' cannot be a value of factor 'attention': model.attention needs a decoder, which task 'adding' does "
            "not have",
        ),
        (
            {"tied": ["false", "true"]},
            "'true' cannot be a value of factor 'tied': model.tied needs a decoder, which task 'adding' does not have",
        ),
        ({"layers": ["2", "02"]}, "factor 'layers' must have different values, but got '02' twice"),
        ({"layers": []}, "space.factors.layers must be a list of values, but got []"),
        ({"trials": ["5"]}, "there is no factor 'trials' to vary"),
    ],
)
def test_a_wrong_factor_is_named_with_what_is_accepted(factors: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SpecError) as raised:
        parse_spec(VALUES | {"space": {"factors": factors}})
    assert str(raised.value).startswith(sentence)


def test_what_is_wrong_beside_the_factors_is_said_of_the_field_that_is_wrong() -> None:
    with pytest.raises(SpecError, match=r"^steps should be greater than or equal to 1, but got 0$"):
        parse_spec(VALUES | {"steps": 0})


def test_a_value_that_its_data_cannot_take_is_said_before_the_study_is_made() -> None:
    too_long = parse_spec({"name": "v", "task": "sunspots", "space": {"factors": {"window": [20, 5000]}}})
    load_data(too_long)
    with pytest.raises(ValueError, match="5000"):
        check_varied_data(too_long)


def test_none_is_a_word_to_an_option_and_the_default_to_a_field() -> None:
    def trained(task: str, **factors: list[Any]) -> list[StudySpec]:
        return variations(parse_spec({"name": "s", "task": task, "space": {"factors": factors}}))

    of_a_module = trained("module:mine:problem", mode=["none", "x"])
    assert [made.task_options for made in of_a_module] == [{"mode": "none"}, {"mode": "x"}]
    of_a_file = trained("series:x.csv", columns=["none", "a,b"])
    assert [made.task_options["columns"] for made in of_a_file] == ["none", "a,b"]
    of_a_field = trained("copy", embedding_size=["none", 8])
    assert [made.model.embedding_size for made in of_a_field] == [None, 8]


def test_with_an_optimizer_of_its_own_a_model_takes_the_optimizers_words_as_its_options() -> None:
    values = {"name": "s", "task": "module:mine:problem", "space": {"factors": {"momentum": ["0.9", "0.99"]}}}
    own = parse_spec(values | {"optimizer": "own"})
    assert [one.task_options for one in variations(own)] == [{"momentum": 0.9}, {"momentum": 0.99}]
    ours = parse_spec(values | {"optimizer": "nesterov"})
    assert [one.momentum for one in variations(ours)] == [0.9, 0.99]
    assert [one.task_options for one in variations(ours)] == [{}, {}]
