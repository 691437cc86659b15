"""Where no setting is at fault, nobody is told to search another: data and loss are named."""

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

Run = Callable[..., Result]
FLAGS = (
    "--strategies=none",
    "--lr=0.001:0.1",
    "--trials=6",
    "--steps=20",
    "--workers=1",
    "--slots=3",
)


@pytest.fixture
def problems(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Functions of a user's own: a density, and losses that are not finite on the data as they are."""
    (folder / "causes_of_a_test.py").write_text(
        textwrap.dedent("""
            import torch
            from torch import nn

            X = torch.linspace(-1, 1, 8)[:, None]

            def of(loss, validation):
                module = nn.Linear(1, 1)
                return module, [X] * 4, loss, validation

            def density():
                loss = lambda module, x: (module(x) - 2 * x).pow(2).mean() - 3.0
                return of(loss, [X])

            def infinite():
                return of(lambda module, x: module(x).mean() * torch.inf, [X])

            def bad_validation():
                return of(lambda module, x: (module(x) - 2 * x).pow(2).mean(), [X * torch.nan])
        """)
    )
    monkeypatch.syspath_prepend(folder)


@pytest.mark.usefixtures("problems")
def test_an_untrained_loss_that_is_not_finite_ends_the_study_with_a_sentence_about_data_and_loss(
    gradstudy: Run,
) -> None:
    result = gradstudy("launch", "s", "--task=module:causes_of_a_test:infinite", *FLAGS)
    assert result.exit_code == 1
    assert (
        "neither the training nor the validation loss of the untrained model is finite: look at the training data"
        in result.stderr
    )
    assert "Traceback" not in result.output
    report = gradstudy("report", "s").stdout
    assert "no learning rate" in report
    assert "lower" not in report


@pytest.mark.usefixtures("problems")
def test_a_validation_loss_that_is_not_finite_is_said_to_be_that(gradstudy: Run) -> None:
    result = gradstudy("launch", "s", "--task=module:causes_of_a_test:bad_validation", *FLAGS)
    assert result.exit_code == 1
    assert "the validation loss of the untrained model is not finite: look at the validation data" in result.stderr
    report = gradstudy("report", "s").stdout
    assert "the validation loss of the untrained model is not finite" in report
    assert "train more steps" not in report


@pytest.mark.usefixtures("problems")
def test_a_density_whose_loss_is_below_zero_trains(gradstudy: Run) -> None:
    assert gradstudy("launch", "s", "--task=module:causes_of_a_test:density", *FLAGS).exit_code == 0
    counts = gradstudy("query", "SELECT outcome, count(*) FROM trial_result GROUP BY outcome", "--format", "csv").stdout
    assert "diverged" not in counts
    assert "trained" in counts
    assert gradstudy("report", "s").exit_code == 0
