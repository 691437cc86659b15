import numpy as np
import pytest

from gradstudy.study.worth.scale import shares, units

NO = np.zeros(0)


def test_of_positive_losses_the_share_is_the_ratio_to_the_untrained_loss() -> None:
    random = np.random.default_rng(0)
    untrained = random.uniform(2, 5, 50)
    losses = untrained * random.uniform(0, 1, 50)
    assert shares(losses, untrained) == pytest.approx(losses / untrained)


def test_the_ratio_is_that_of_each_runs_own_untrained_model() -> None:
    assert shares(np.array([1.0, 1.0]), np.array([2.0, 4.0])) == pytest.approx([0.5, 0.25])


def test_shares_of_positive_losses_do_not_depend_on_their_unit() -> None:
    losses, untrained = np.array([0.5, 1.0, 3.0]), np.array([4.0, 3.5, 4.0])
    assert shares(1000 * losses, 1000 * untrained) == pytest.approx(shares(losses, untrained))


def test_a_loss_of_zero_is_a_share_of_zero() -> None:
    assert shares(np.array([0.0, 2.0]), np.array([4.0, 4.0])).tolist() == [0.0, 0.5]


@pytest.mark.parametrize("constant", [-100.0, -3.0, 0.5])
def test_a_constant_added_to_losses_that_may_be_negative_changes_no_share(constant: float) -> None:
    losses, untrained = np.array([-4.0, -1.0, 1.5, 2.0]), np.array([2.0, 1.9, 2.1, 2.0])
    assert shares(losses + constant, untrained + constant) == pytest.approx(shares(losses, untrained))


def test_of_losses_that_may_be_negative_one_is_the_largest_gain() -> None:
    losses, untrained = np.array([-4.0, -1.0, 2.0, 2.0]), np.array([2.0, 2.0, 2.0, 3.0])
    assert shares(losses, untrained) == pytest.approx([0.0, 0.5, 1.0, 1 - 1 / 6])


def test_untrained_losses_below_zero_have_no_ratio_either() -> None:
    losses, untrained = np.array([-3.0, -2.0]), np.array([-1.0, -1.0])
    assert shares(losses, untrained) == pytest.approx([0.0, 0.5])


@pytest.mark.parametrize("untrained", [4.0, -1.0])
def test_no_share_is_above_one(untrained: float) -> None:
    losses = untrained + np.array([-0.5, 0.0, 0.1, 1e9, np.inf])
    found = shares(losses, np.full(5, untrained))
    assert found[0] < 1
    assert found[1:].tolist() == [1.0] * 4


def test_where_nothing_was_learned_every_share_is_one() -> None:
    assert shares(np.array([-1.0, -0.5]), np.array([-1.0, -1.0])).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("untrained", [2.0, -2.0])
def test_a_run_without_a_loss_has_no_share_and_changes_no_other(untrained: float) -> None:
    losses, began = np.array([untrained - 1, untrained - 0.5]), np.full(2, untrained)
    found = shares(np.append(losses, np.nan), np.append(began, untrained))
    assert np.isnan(found[2])
    assert found[:2].tolist() == shares(losses, began).tolist()


@pytest.mark.parametrize("untrained", [2.0, -2.0])
def test_runs_that_all_have_no_loss_have_no_shares(untrained: float) -> None:
    assert np.isnan(shares(np.full(2, np.nan), np.full(2, untrained))).all()


def test_no_runs_have_no_shares() -> None:
    assert shares(NO, NO).shape == (0,)
    assert units(NO, NO).shape == (0,)
