import subprocess
import sys

import pytest

from gradstudy.models.strategies import (
    SEARCHED_BY_DEFAULT,
    STRATEGIES,
    StrategyError,
    find_after_backward,
    find_strategy,
)

WITH_THRESHOLD = [strategy for strategy in STRATEGIES.values() if strategy.unit is not None]


def test_catalogue_begins_with_the_nine_strategies_that_are_searched_by_default():
    by_default = ("none", "norm", "value", "param_norm", "normalize", "standardize", "agc", "autoclip", "zclip")
    named = ("rms", "spectral", "adagc", "spam_entry", "stable_spam", "median_norm", "skip_norm", "skip_z")
    assert by_default == SEARCHED_BY_DEFAULT
    assert tuple(STRATEGIES) == (*by_default, *named, "recurrent", "recurrent_value")
    assert all(name == strategy.name for name, strategy in STRATEGIES.items())


def test_strategies_without_threshold_have_no_range():
    without = {name for name, strategy in STRATEGIES.items() if strategy.unit is None}
    assert without == {"none", "standardize", "stable_spam"}
    assert all(STRATEGIES[name].low is None and STRATEGIES[name].high is None for name in without)


@pytest.mark.parametrize("strategy", WITH_THRESHOLD, ids=lambda strategy: strategy.name)
def test_ends_of_the_search_range_are_thresholds(strategy):
    assert 0 < strategy.low < strategy.high
    strategy.check(strategy.low)
    strategy.check(strategy.high)


@pytest.mark.parametrize("name", [name for name in STRATEGIES if name not in {"none", "value", "param_norm"}])
def test_source_names_the_paper_or_the_software(name):
    of_software = {"median_norm": "icefall", "skip_norm": "Megatron-LM", "skip_z": "OLMo-core"}
    assert of_software.get(name, "arXiv") in STRATEGIES[name].source


def test_those_that_skip_steps_say_so():
    assert {name for name, strategy in STRATEGIES.items() if strategy.skips} == {"skip_norm", "skip_z"}


def test_catalogue_is_read_without_torch():
    code = (
        "import sys, gradstudy.models.strategies, gradstudy.models.tasks;"
        "sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_norm_and_value_are_one_line_of_torch():
    norm = "torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm=0.5)"
    value = "torch.nn.utils.clip_grad_value_(model.parameters(), clip_value=0.01)"
    assert STRATEGIES["norm"].pytorch(0.5) == norm
    assert STRATEGIES["value"].pytorch(0.01) == value


def test_a_strategy_with_state_says_what_goes_before_the_loop():
    lines = STRATEGIES["autoclip"].pytorch(10).splitlines()
    assert lines[0] == "# once, before the training loop"
    assert "# after loss.backward()" in lines


def test_unknown_strategy_lists_the_known_ones():
    with pytest.raises(StrategyError, match=r"^there is no strategy 'nrom': choose from none, .*, recurrent_value$"):
        find_strategy("nrom")


@pytest.mark.parametrize(
    ("name", "threshold", "message"),
    [
        ("none", 1.0, "strategy 'none' takes no threshold, but got 1.0"),
        ("norm", None, "strategy 'norm' needs a threshold (norm of the gradient), but got none"),
        (
            "norm",
            0.0,
            "the threshold of strategy 'norm' (norm of the gradient) must be a finite number above 0, but got 0.0",
        ),
        (
            "value",
            float("nan"),
            "the threshold of strategy 'value' (value of an entry) must be a finite number above 0, but got nan",
        ),
        (
            "autoclip",
            101.0,
            "the threshold of strategy 'autoclip' (percent of the norms seen) must be a finite number "
            "above 0, at most 100, but got 101.0",
        ),
    ],
)
def test_a_wrong_threshold_is_named(name, threshold, message):
    with pytest.raises(StrategyError) as error:
        find_strategy(name).check(threshold)
    assert str(error.value) == message
    with pytest.raises(StrategyError):
        find_strategy(name).pytorch(threshold)


@pytest.mark.parametrize("name", ["recurrent", "recurrent_value"])
def test_what_clips_inside_the_backward_pass_cannot_be_applied_after_it(name):
    assert find_strategy(name).inside
    with pytest.raises(StrategyError, match=rf"^strategy '{name}' clips inside the backward pass, so nothing can"):
        find_after_backward(name)
