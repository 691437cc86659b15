import pandas as pd
import pytest

from gradstudy.study.horizon.holds import holds


def row(loss: float, learning_rate: float, *, is_answer: bool = False, steps: int = 800) -> dict[str, object]:
    return {
        "steps": steps, "cell": "lstm", "strategy": "none", "factors": "", "threshold": float("nan"),
        "learning_rate": learning_rate, "runs": 2, "diverged": 0, "rate_high": 0.66, "loss": loss, "untrained": 4.0,
        "is_answer": is_answer,
    }  # fmt: skip


def said(*rows: dict[str, object]) -> str:
    table = pd.DataFrame(list(rows)).sort_values(["steps", "loss"], ignore_index=True)
    return " ".join(holds(table, 200))


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [(0.9, "That is the answer for 200 steps: it holds there."),
     (1.05, "ends 0.05 (5%) higher there: about as good, within 2% of the untrained loss. It holds."),
     (1.5, "ends 0.5 (50%) higher there: it does not hold, as far as 2 runs of each setting can tell.")],
)  # fmt: skip
def test_whether_an_answer_holds_is_a_matter_of_the_longest_runs(answer: float, sentence: str) -> None:
    text = said(row(1.0, 0.5), row(answer, 1.0, is_answer=True), row(0.1, 3.0, is_answer=True, steps=400))
    assert sentence in text
    assert text.startswith("At 800 steps, 4 times the study's, the best of 2 settings is LSTM, none, learning rate ")
    assert text.endswith("Nothing is known of training beyond 12,800 steps.")


def test_of_a_loss_below_zero_there_is_no_share() -> None:
    assert "ends 0.5 higher there" in said(row(-1.0, 0.5), row(-0.5, 1.0, is_answer=True))


def test_what_was_not_trained_longer_says_nothing() -> None:
    assert holds(pd.DataFrame(), 200) == []
    assert said(row(float("nan"), 0.5)) == ""
