"""``--scale-to``: a study of small models answers for a larger one."""

import json
from collections.abc import Callable
from pathlib import Path

from typer.testing import Result

Run = Callable[..., Result]
STUDY = ("launch", "s", "--task", "copy", "--cells", "lstm", "--strategies", "norm", "--hidden", "8", "--steps", "4")
FEW = ("--trials", "30", "--workers", "1", "--batch-size", "4", "--storage", "sqlite:///s.db")


def test_a_study_trains_smaller_models_and_its_report_answers_for_the_larger_one(gradstudy: Run) -> None:
    launched = gradstudy(*STUDY, *FEW, "--scale-to", "hidden_size=32")
    assert (launched.exit_code, launched.stderr) == (0, "")
    assert "varied: hidden_size 2, 4, 8" in launched.stdout
    again = gradstudy(*STUDY, *FEW, "--scale-to", "hidden_size=32")
    assert again.exit_code == 0
    report = gradstudy("report", "s", "--storage", "sqlite:///s.db").stdout
    assert "A larger model" in report
    assert "at hidden_size 32: the best learning rate is" in " ".join(report.split())
    told = json.loads(gradstudy("report", "s", "--storage", "sqlite:///s.db", "--format", "json").stdout)
    assert "nothing was trained at 32, 4 times the largest" in told["larger_model"][-1]
    assert told["tables"]["scaling"][0]["widths"] == "2, 4, 8"
    markdown = gradstudy("report", "s", "--storage", "sqlite:///s.db", "--format", "markdown").stdout
    assert markdown.count("## A larger model") == 2  # sentences, table
    assert gradstudy("report", "s", "--storage", "sqlite:///s.db", "--format", "html").exit_code == 0
    assert "A larger model" in Path("s.html").read_text()


def test_what_cannot_be_predicted_is_one_sentence(gradstudy: Run) -> None:
    for given, said in (
        (("--scale-to", "hidden_size=4"), "must be more than the largest value that is trained (8)"),
        (("--scale-to", "hidden_size"), "--scale-to takes NAME=VALUE such as hidden_size=512, but got 'hidden_size'"),
        (("--scale-to", "attention=3"), "is predicted from several smaller values, such as --vary attention=32,64,128"),
        (("--base-width", "8"), "model.base_width has no effect, because the parametrization is standard"),
    ):
        refused = gradstudy(*STUDY, *FEW, *given)
        assert (refused.exit_code, refused.stdout) == (2, "")
        assert said in refused.stderr
        assert "Traceback" not in refused.stderr
