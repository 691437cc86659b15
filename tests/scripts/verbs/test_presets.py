from collections.abc import Callable
from pathlib import Path

from typer.testing import Result

from gradstudy.storage.database import Database
from gradstudy.storage.frames import read_trials
from gradstudy.storage.studies import find_study
from gradstudy.study.literature.presets import PRESETS, planned

Run = Callable[..., Result]
URL = "sqlite:///gradstudy.db"


def test_factors_are_searched_and_reported_by_value(gradstudy: Run, flags: list[str]) -> None:
    result = gradstudy("launch", "s", *flags, "--vary", "max_length=3,4", "--vary", "forget_bias=none,1")
    assert result.exit_code == 0, result.output
    assert "varied: max_length 3, 4\nvaried: forget_bias none, 1.0\n" in result.stdout
    with Database.open(URL) as database:
        trials = read_trials(database, "s")
    assert {factors["max_length"] for factors in trials["factors"]} == {3, 4}
    assert {factors["forget_bias"] for factors in trials["factors"]} == {"none", 1.0}
    shown = gradstudy("report", "s").stdout
    assert "forget_bias none, max_length 4" in shown
    assert "Each value of what is varied" in shown
    again = gradstudy("launch", "s", *flags, "--vary", "max_length=3,5")
    assert again.exit_code == 2
    assert "space.factors.max_length: [3, 4] -> [3, 5]" in again.stderr


def test_a_wrong_factor_is_wrong_usage(gradstudy: Run) -> None:
    result = gradstudy("launch", "s", "--vary", "layers")
    assert (result.exit_code, result.stderr) == (
        2,
        "gradstudy: --vary takes NAME=VALUE such as hidden_size=32,64, but got 'layers'\n",
    )
    result = gradstudy("launch", "s", "--vary", "depth=1,2")
    assert result.exit_code == 2
    assert result.stderr.startswith(
        "gradstudy: there is no factor 'depth' to vary: accepted are loss, precision, batch_size"
    )


def test_a_preset_runs_under_its_name_and_tells_its_verdict(gradstudy: Run, folder: Path) -> None:
    result = gradstudy("launch", "--preset", "regression", "--steps", "60", "--trials", "12", "--slots", "4")
    assert result.exit_code == 0, result.output
    with Database.open(URL) as database:
        trials = read_trials(database, "regression")
        assert find_study(database, "regression").spec["steps"] == 60
    lost = (trials["outcome"] == "diverged") & (trials["strategy"] == "none")
    sentence = f"found: {lost.sum()} of {(trials['strategy'] == 'none').sum()} runs without clipping"
    assert sentence in result.stdout
    assert sentence in gradstudy("report", "regression").stdout
    assert sentence in gradstudy("report", "regression", "--format", "markdown").stdout
    assert sentence in gradstudy("report", "regression", "--format", "json").stdout
    assert gradstudy("report", "regression", "--format", "html").exit_code == 0
    assert sentence in (folder / "regression.html").read_text()


def test_the_presets_are_listed_with_what_is_expected(gradstudy: Run) -> None:
    listed = gradstudy("presets").stdout
    for name, preset in PRESETS.items():
        assert f"{name}: {preset.description}" in listed
        for expectation, first, second in planned(name):
            power = f"about {first} and {second} runs {expectation.power_in_words(first, second)}"
            assert f"  expected: {expectation.literature}\n    {power}\n" in listed


def test_options_change_a_preset(gradstudy: Run) -> None:
    words = "--preset regression --strategies none,value --threshold value=1:2 --trials 2 --steps 5 --detach"
    result = gradstudy("launch", "mine", *words.split())
    assert result.exit_code == 0, result.output
    with Database.open(URL) as database:
        spec = find_study(database, "mine").spec
    assert (spec["preset"], spec["task"], spec["model"]["hidden_size"]) == ("regression", "regression", 25)
    assert spec["space"]["thresholds"] == {"value": [1, 2]}


def test_an_unknown_preset_is_wrong_usage(gradstudy: Run) -> None:
    result = gradstudy("launch", "--preset", "x")
    assert result.exit_code == 2
    assert result.stderr == f"gradstudy: there is no preset 'x': choose from {', '.join(PRESETS)}\n"
