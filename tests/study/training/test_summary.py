import numpy as np
import pytest

from gradstudy.study.training.summary import GradientSummary, spikes, summarize_gradients


def noise(size: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(3.0, 0.1, size)


def spikes_by_hand(losses: list[float]) -> int:
    count = 0
    for step in range(128, len(losses)):
        before = losses[step - 128 : step]
        mean = sum(before) / 128
        deviation = (sum((loss - mean) ** 2 for loss in before) / 128) ** 0.5
        count += losses[step] > mean + 6 * deviation
    return count


def test_gradient_norms_are_summarized_where_they_are_finite() -> None:
    norms = np.arange(1.0, 102.0)
    with_gaps = np.concatenate([norms, [np.nan, np.inf, -np.inf]])
    clipped = np.arange(104) % 4 == 0
    assert summarize_gradients(with_gaps, clipped) == GradientSummary(
        p50=51.0, p90=91.0, largest=101.0, clipped_fraction=0.25
    )


@pytest.mark.parametrize("norms", [[], [np.nan, np.inf]])
def test_without_a_finite_norm_there_is_no_summary(norms: list[float]) -> None:
    empty = GradientSummary(p50=None, p90=None, largest=None, clipped_fraction=None)
    assert summarize_gradients(np.array(norms), np.zeros(len(norms), bool)) == empty


def test_spikes_equal_those_of_a_plain_loop() -> None:
    losses = noise(600)
    losses[[100, 130, 300, 301, 599]] += [5.0, 2.0, 0.9, 3.0, 0.8]
    assert len(spikes(losses)) == spikes_by_hand(losses.tolist()) >= 3


def test_a_loss_just_below_six_sigma_is_no_spike() -> None:
    losses = noise(129)
    for sigmas, count in ((5.99, 0), (6.01, 1)):
        losses[128] = losses[:128].mean() + sigmas * losses[:128].std()
        assert len(spikes(losses)) == count


def test_the_first_128_losses_and_deep_dips_are_no_spikes() -> None:
    losses = noise(400)
    losses[20], losses[200] = 100.0, -100.0
    assert len(spikes(losses)) == spikes_by_hand(losses.tolist()) == 0
    assert len(spikes(losses[:128])) == 0


def test_losses_that_are_not_finite_are_left_out() -> None:
    losses = noise(300)
    losses[250] = 9.0
    with_gaps = np.insert(losses, [50, 249, 260], [np.nan, np.inf, np.nan])
    assert len(spikes(with_gaps)) == len(spikes(losses)) == 1
