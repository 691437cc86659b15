"""``--scale-to``: a study of small models answers for a larger one."""

import json
from collections.abc import Callable
from pathlib import Path

from typer.testing import Result

Run = Callable[..., Result]
STUDY = ("launch", "s", "--task", "copy", "--cells", "lstm", "--strategies", "norm", "--hidden", "8", "--steps", "4")
OWN_MODEL = """
import torch
from torch import nn


class Tagger(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.embedding, self.layer, self.out = nn.Embedding(9, width), nn.GRU(width, width), nn.Linear(width, 9)

    def forward(self, words):
        return self.out(self.layer(self.embedding(words))[0])


def make(seed, width=4):
    words = torch.randint(9, (5, 40), generator=torch.Generator().manual_seed(seed)).split(8, 1)
    return Tagger(width), list(words), lambda model, batch: nn.functional.cross_entropy(
        model(batch).flatten(0, 1), batch.flatten()
    )
"""
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


def test_a_model_of_ones_own_is_scaled_by_an_option_of_its_function(gradstudy: Run, folder: Path) -> None:
    (folder / "widths.py").write_text(OWN_MODEL)
    own = ("--task", "module:widths:make", "--strategies", "norm", "--lr", "0.01:1000", "--threshold", "norm=1")
    scaled = ("--vary", "width=3,6,12", "--scale-to", "width=48", "--steps", "12")
    few = ("--trials", "36", "--workers", "1", "--storage", "sqlite:///s.db")
    launched = gradstudy("launch", "own", *own, *scaled, *few)
    assert (launched.exit_code, launched.stderr) == (0, "")
    assert "varied: width 3, 6, 12" in launched.stdout
    told = json.loads(gradstudy("report", "own", "--storage", "sqlite:///s.db", "--format", "json").stdout)
    (row,) = told["tables"]["scaling"]
    assert (row["strategy"], row["threshold"], row["widths"], row["target"]) == ("norm", 1.0, "3, 6, 12", 48.0)
    for named in ("best_rate", "frontier"):
        assert 0 < row[f"{named}_low"] < row[named] < row[f"{named}_high"]
    answer, rests_on = told["larger_model"]
    assert f"at width 48: the best learning rate is {row['best_rate']:.2g} (" in answer
    assert "extrapolated from width 3, 6, 12 at 12 steps: nothing was trained at 48, 4 times the largest" in rests_on


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
