import pytest

from gradstudy.study.wording import times


@pytest.mark.parametrize(
    ("ratio", "said"),
    [(0.5, "0.5 times"), (1.613, "1.6 times"), (20.02, "20 times"), (108.6, "110 times"), (2.34e6, "2,300,000 times")],
)
def test_a_ratio_has_two_digits_and_no_power_of_ten(ratio: float, said: str) -> None:
    assert times(ratio) == said
