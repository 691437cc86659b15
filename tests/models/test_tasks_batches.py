from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from gradstudy.models.tasks import TaskError, load_task
from gradstudy.models.tasks.batches import TrialBatches
from gradstudy.models.tasks.order import ExampleOrder


@pytest.fixture(scope="module")
def pairs():
    return load_task("reverse", examples=300, max_length=8)


def slots(*numbers):
    return np.array(numbers)


def run_alone(seed, steps, size=50, batch_size=8):
    """The examples [T, B] that a trial alone sees."""
    order = ExampleOrder(np.arange(100, 100 + size), 1, batch_size)
    order.admit(0, seed)
    return np.stack([order.batch(slots(0), slots(step))[0] for step in range(steps)])


@settings(deadline=None)  # the first call compiles
@given(size=st.integers(1, 40), batch_size=st.integers(1, 40), seed=st.integers(0, 2**40))
def test_every_epoch_has_each_example_once(size, batch_size, seed):
    batch_size = min(batch_size, size)
    seen = run_alone(seed, 3 * size // batch_size, size, batch_size).ravel()
    for epoch in range(len(seen) // size):
        assert sorted(seen[epoch * size : (epoch + 1) * size]) == list(range(100, 100 + size))


def test_every_order_is_as_likely_as_any_other():
    counts = Counter(
        tuple(run_alone(seed, 8, size=4, batch_size=1)[epoch : epoch + 4, 0])
        for seed in range(1200)
        for epoch in (0, 4)
    )
    assert len(counts) == 24
    assert chisquare(list(counts.values())).pvalue > 0.01


def test_a_large_epoch_is_the_same_however_it_is_approached():
    in_turn = run_alone(5, 700, size=20_000, batch_size=32)
    order = ExampleOrder(np.arange(100, 20_100), 1, 32)
    order.admit(0, 5)
    for step in (200, 624, 0, 625, 699):
        assert (order.batch(slots(0), slots(step))[0] == in_turn[step]).all()
    assert sorted(in_turn.ravel()[:20_000]) == list(range(100, 20_100))


def test_epochs_and_seeds_have_orders_of_their_own():
    first, other = run_alone(0, 100), run_alone(1, 100)
    assert (first == run_alone(0, 100)).all()
    assert (first != other).any()
    epochs = first.ravel()[:800].reshape(16, 50)
    assert len({tuple(epoch) for epoch in epochs.tolist()}) == 16


def test_order_does_not_depend_on_slot_neighbours_or_moves():
    order = ExampleOrder(np.arange(100, 150), 3, 8)
    expected = run_alone(7, 60)
    order.admit(0, 1)
    order.admit(1, 2)
    order.admit(2, 7)
    for step in range(20):
        assert (order.batch(slots(0, 1, 2), slots(step + 30, 5 * step, step))[2] == expected[step]).all()
    order.move(2, 0)
    order.admit(2, 9)
    for step in range(20, 40):
        assert (order.batch(slots(0, 1, 2), slots(step, step, step))[0] == expected[step]).all()
    order.admit(0, 7)
    assert (order.batch(slots(0), slots(0))[0] == expected[0]).all()


def test_steps_can_be_asked_for_in_any_order():
    order, expected = ExampleOrder(np.arange(100, 150), 1, 8), run_alone(3, 60)
    order.admit(0, 3)
    for step in (0, 3, 59, 6, 7, 12, 0, 13, 19, 1):
        assert (order.batch(slots(0), slots(step))[0] == expected[step]).all()


def test_batches_hold_training_pairs_as_wide_as_the_longest_of_the_task(pairs):
    batches = TrialBatches(pairs, 3, 4)
    rows = {tuple(source): pair for pair, source in enumerate(pairs.source.tolist())}
    training = set(pairs.train.tolist())
    for slot in range(3):
        batches.admit(slot, slot)
    for step in range(40):
        batch = batches.batch(np.array([step, step + 7]))
        assert batch.source.shape == (2, 4, pairs.source.shape[1])
        assert batch.target.shape == (2, 4, pairs.target.shape[1])
        for source, target in zip(batch.source.flatten(0, 1), batch.target.flatten(0, 1), strict=True):
            pair = rows[tuple(source.tolist())]
            assert pair in training
            assert target.tolist() == pairs.target[pair].tolist()


def test_a_slots_first_batches_are_those_that_it_trains_on(pairs):
    batches = TrialBatches(pairs, 2, 16)
    batches.admit(0, 5)
    batches.admit(1, 6)
    first = batches.first_batches(1, range(3))
    for step in range(3):
        together = batches.batch(np.array([9, step]))
        torch.testing.assert_close(first.source[step], together.source[1])
        torch.testing.assert_close(first.target[step], together.target[1])


def test_validation_is_the_first_pairs_held_out(pairs):
    batches = TrialBatches(pairs, 1, 4)
    batch = batches.validation(10)
    assert batch.source.shape[:2] == (1, 10)
    expected = pairs.source[pairs.validation[:10]]
    assert batch.source[0].tolist() == expected[:, -batch.source.shape[2] :].tolist()
    assert batches.validation(10_000).target.shape[1] == len(pairs.validation)


def test_sizes_that_cannot_be_served_are_named(pairs):
    training = len(pairs.train)
    for size in (0, training + 1):
        with pytest.raises(TaskError) as error:
            TrialBatches(pairs, 1, size)
        assert str(error.value) == (
            f"batch_size must be from 1 to the number of training pairs, which is {training}, but got {size}"
        )
    with pytest.raises(TaskError, match="number of validation pairs must be at least 1, but got 0"):
        TrialBatches(pairs, 1, 1).validation(0)
