"""What somebody gives that would change nothing is refused, or said."""

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

Run = Callable[..., Result]

MODULE = """
import torch
from torch import nn

def problem(seed, size=3):
    batches = [(torch.randn(4, size), torch.randn(4, 1)) for _ in range(16)]
    loss = lambda model, batch: nn.functional.mse_loss(model(batch[0]), batch[1])
    adam_w = lambda parameters, lr: torch.optim.AdamW(parameters, lr)
    return nn.Linear(size, 1), batches, loss, None, adam_w
"""
OWN = ("--task", "module:mine:problem")
MAKES_ITS_OWN = "has no effect, because task 'module:mine:problem' makes its own model"


@pytest.fixture(autouse=True)
def module(folder: Path) -> None:
    (folder / "mine.py").write_text(MODULE)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--strategies=none,zclip", "--threshold=norm=0.1:1"),
         "space thresholds are taken by zclip, but got one for 'norm'"),
        (("--cells=gru", "--forget-bias=1"),
         "model.forget_bias has no effect, because no LSTM is searched: cells are gru"),
        (("--cells=gru", "--vary=forget_bias=1,2"),
         "model.forget_bias has no effect, because no LSTM is searched: cells are gru"),
        (("--task=sunspots", "--vary=embedding_size=8,16"),
         "model.embedding_size has no effect, because task 'sunspots' has real values, which are not embedded"),
        ((*OWN, "--hidden=16"), f"model.hidden_size {MAKES_ITS_OWN}"),
        ((*OWN, "--layers=1"), f"model.layers {MAKES_ITS_OWN}"),
        ((*OWN, "--dropout=0.1"), f"model.dropout {MAKES_ITS_OWN}"),
        ((*OWN, "--attention"), f"model.attention {MAKES_ITS_OWN}"),
        ((*OWN, "--attend=bahdanau"), f"model.attention {MAKES_ITS_OWN}"),
        ((*OWN, "--bidirectional"), f"model.bidirectional {MAKES_ITS_OWN}"),
        ((*OWN, "--tied"), f"model.tied {MAKES_ITS_OWN}"),
        ((*OWN, "--label-smoothing=0.1"), f"model.label_smoothing {MAKES_ITS_OWN}"),
        ((*OWN, "--forget-bias=1"), f"model.forget_bias {MAKES_ITS_OWN}"),
        ((*OWN, "--batch-size=8"), "batch_size has no effect: module:mine:problem has no parameter `batch_size`"),
        ((*OWN, "--vary=batch_size=8,16"),
         "batch_size has no effect: module:mine:problem has no parameter `batch_size`"),
        (("--task=copy", "--precision=float16"), "precision float16 is for a GPU: give --device cuda"),
        (("--task=copy", "--vary=precision=float32,float16"), "precision float16 is for a GPU"),
        (("--gpus=1",), "--gpus is what each worker asks of Ray, and needs --engine ray"),
        (("--detach", "--workers=2"), "--workers has no effect with --detach"),
        (("--detach", "--slots=2"), "--slots has no effect with --detach"),
        (("--detach", "--threads=2"), "--threads has no effect with --detach"),
        (("--detach", "--device=cpu"), "--device has no effect with --detach"),
        (("--detach", "--engine=ray"), "--engine has no effect with --detach"),
        (("--detach", "--engine=ray", "--gpus=1"), "--engine has no effect with --detach"),
        # These were refused before.
        (("--tokens=word",), "option"), (("--window=3",), "option"), (("--forecast=3",), "option"),
        (("--standardize",), "option"), (("--task-option=nothing=3",), "option"), (("--loss=huber",), "cross_entropy"),
        (("--threshold=none=1:2",), "none"), (("--threshold=standardize=1:2",), "standardize"),
        (("--optimizer=own",), "own"), ((*OWN, "--precision=bfloat16"), "precision"), ((*OWN, "--cells=gru"), "cell"),
        (("--task=regression", "--attention"), "decoder"), (("--sampler=frontier", "--pruner=median"), "pruner"),
    ],
)  # fmt: skip
def test_on_the_command_line_it_is_refused(gradstudy: Run, folder: Path, words: tuple[str, ...], said: str) -> None:
    result = gradstudy("launch", "x", "--trials=2", "--steps=2", *words)
    assert result.exit_code == 2, result.output
    assert said in result.stderr
    assert not (folder / "gradstudy.db").exists()


@pytest.mark.parametrize("words", ["--batch-size=8", "--vary=batch_size=8,16"])
def test_a_probe_refuses_a_batch_size_that_nobody_takes(gradstudy: Run, folder: Path, words: str) -> None:
    result = gradstudy("probe", "x", *OWN, words)
    assert result.exit_code == 2, result.output
    assert "batch_size has no effect: module:mine:problem has no parameter `batch_size`" in result.stderr
    assert not (folder / "gradstudy.db").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[divergence]\nskipped_in_a_row = 9", ["divergence.skipped_in_a_row"]),
        ("[divergence]\nblow_up_squared = 50.0", ["divergence.blow_up_squared"]),
        ('task = "regression"\n[divergence]\nblow_up = 50.0', ["divergence.blow_up"]),
        ('task_folder = "/tmp"', ["task_folder"]),
        ('task = "module:mine:problem"\n[model]\nhidden_size = 16', ["model.hidden_size"]),
        # A file that a program wrote has every default.
        ('task = "module:mine:problem"\n[model]\nhidden_size = 64\nlayers = 1\nattention = false', []),
        ("guard = true\n[divergence]\nskipped_in_a_row = 9", []),
        ('[divergence]\nskipped_in_a_row = 9\n[space]\nstrategies = ["none", "skip_norm"]', []),
        ("[space.factors]\nlearning_rate = [0.1, 1]", []),
    ],
)
def test_in_a_file_it_is_said(gradstudy: Run, folder: Path, text: str, said: list[str]) -> None:
    (folder / "x.toml").write_text(f"trials = 2\nsteps = 2\n{text}\n")
    result = gradstudy("launch", "x.toml", "--detach")
    assert result.exit_code == 0, result.output
    lines = [line.removeprefix("gradstudy: ") for line in result.stderr.splitlines()]
    assert [line.partition(" has no effect, because ")[0] for line in lines] == said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("--hidden=16", "--vary=hidden_size=16,32"),
            "model.hidden_size has no effect, because the study varies hidden_size",
        ),
        (
            ("--optimizer=adam", "--vary=optimizer=sgd,adam"),
            "optimizer has no effect, because the study varies optimizer",
        ),
        (
            (*OWN, "--task-option=size=3", "--vary=size=2,3"),
            "task_options.size has no effect, because the study varies size",
        ),
    ],
)
def test_a_value_beside_those_that_are_varied_is_said(gradstudy: Run, words: tuple[str, ...], said: str) -> None:
    result = gradstudy("launch", "x", "--trials=2", "--steps=2", "--detach", *words)
    assert (result.exit_code, result.stderr) == (0, f"gradstudy: {said}\n")


def test_learning_rates_may_be_varied_like_anything_else(gradstudy: Run) -> None:
    result = gradstudy("launch", "x", "--trials=2", "--steps=2", "--detach", "--vary=learning_rate=0.1,1")
    assert (result.exit_code, result.stderr) == (0, "")


def test_what_an_experiment_of_the_literature_sets_is_not_what_somebody_gave(gradstudy: Run) -> None:
    result = gradstudy("launch", "x", "--preset", "copy-memory", "--strategies", "none", "--detach")
    assert "has no effect" not in result.output


def test_an_optimizer_that_is_returned_and_not_used_is_said(gradstudy: Run) -> None:
    words = ("--trials=2", "--steps=2", "--strategies=none", "--lr=0.001:0.01", "--workers=1")
    unused = "the optimizer that module:mine:problem returns is not used, but {}: --optimizer own takes it\n"
    assert unused.format("sgd") in gradstudy("launch", "a", *OWN, *words, "--optimizer=sgd").stdout
    assert unused.format("adam") in gradstudy("launch", "b", *OWN, *words, "--optimizer=adam").stdout
    assert "is not used" not in gradstudy("launch", "c", *OWN, *words, "--optimizer=own").stdout
    assert "is not used" not in gradstudy("launch", "d", *OWN, *words, "--vary=optimizer=own,sgd").stdout
