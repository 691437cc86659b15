import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import typer
from thresholds import AFTER_BACKWARD
from typer.testing import Result

from gradstudy.models.strategies import STRATEGIES
from gradstudy.models.tasks.catalogue import TASKS
from gradstudy.scripts.exit_codes import with_exit_code
from gradstudy.storage.database import Database
from gradstudy.storage.errors import NotFoundError

Run = Callable[..., Result]
Contents = Callable[[], dict[str, bytes]]
USAGES = [*(task.usage for task in TASKS.values()), "module:package.module:function"]
COPY = "--task copy --task-option max_length=4 --task-option examples=200"


@pytest.fixture
def refused(gradstudy: Run, contents: Contents) -> Callable[..., str]:
    """The one sentence that a command line ends with, having changed nothing."""

    def run(words: str | list[str], code: int = 2) -> str:
        before = contents()
        result = gradstudy(*(words.split() if isinstance(words, str) else words))
        assert contents() == before
        assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (code, "", 1)
        assert result.stderr.startswith("gradstudy: ")
        return result.stderr.removeprefix("gradstudy: ").rstrip("\n")

    return run


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--lr 100:1", "space.learning_rate must rise from a positive number to a larger one, at most 3e+38, "
                       "but got 100:1"),
        ("--lr fast", "--lr takes LOW:HIGH such as 1e-3:100, values such as 0.1,1,10, or LOW:HIGH:POINTS such as "
                      "0.1:10:5, but got 'fast'"),
        ("--lr 0", "space.learning_rate must have 1 to 1,000 different positive values, at most 3e+38, but got 0"),
        ("--sampler grid --strategies norm",
         "sampler 'grid' takes values instead of ranges, but the learning rate is searched from 0.01 to 100 (values: "
         "--lr 0.1,1,10); ranges of thresholds are searched for norm (points: --threshold norm=0.01:10:5)"),
        ("--sampler frontier --lr 1", "sampler 'frontier' is about the largest safe learning rate and needs several, "
                                      "such as --lr 0.01:100, but the learning rate is held at 1"),
        ("--lr 1 --vary learning_rate=1,2",
         "space.learning_rate and space.factors.learning_rate are one: give one of them"),
        ("--lr 1,2 --strategies none --sampler grid --trials 5",
         "trials must be a multiple of 4 with sampler 'grid', which runs 4 settings, such as 4 or 8, but got 5"),
        ("--enqueue norm", "--enqueue takes NAME=VALUE such as strategy=norm,threshold=1,learning_rate=0.5, "
                           "but got 'norm'"),
        ("--enqueue clip=norm", "a setting of this study has no 'clip'; it has cell, strategy, threshold, "
                                "learning_rate"),
        ("--strategies norm --enqueue cell=lstm,learning_rate=0.5",
         "a chosen setting needs threshold (norm of the gradient), because the study searches 0.01 to 10"),
        ("--strategies none --enqueue learning_rate=0.5",
         "a chosen setting needs cell, because the study searches lstm, gru"),
        ("--strategies none --enqueue cell=gru,learning_rate=500",
         "learning_rate of a chosen setting must be one that the study searches, 0.01 to 100, but got '500'"),
        ("--strategies none --enqueue cell=gru,learning_rate=1,threshold=2",
         "strategy 'none' takes no threshold, but got 2"),
        ("--strategies clip", f"space.strategies must be among {', '.join(STRATEGIES)}, but got 'clip'"),
        ("--task regression --strategies norm,recurrent",
         f"space.strategies of task 'regression' must be among {', '.join(AFTER_BACKWARD)}, but got 'recurrent', which "
         "clips inside the recurrent layers of gradstudy's own models"),
        ("--task module:mine:make --cells lstm --strategies recurrent_value",
         f"space.strategies of task 'module:mine:make' must be among {', '.join(AFTER_BACKWARD)}, but got "
         "'recurrent_value', which clips inside the recurrent layers of gradstudy's own models"),
        ("--strategies ,", "space.strategies must name at least one and none twice, but got none"),
        ("--cells rnn",
         "space.cells.0 should be 'lstm', 'gru', 'rnn_tanh', 'rnn_relu', 'dense' or 'module', but got 'rnn'"),
        ("--threshold norm", "--threshold takes NAME=VALUE such as norm=0.01:10, but got 'norm'"),
        ("--threshold norm=one", "--threshold takes LOW:HIGH such as 1e-3:100, values such as 0.1,1,10, or "
                                 "LOW:HIGH:POINTS such as 0.1:10:5, but got 'one'"),
        ("--strategies none --threshold none=1:2",
         "space thresholds are taken by none of the searched strategies, but got one for 'none'"),
        ("--task translate", f"there is no task 'translate': choose from {', '.join(USAGES)}"),
        ("--task copy --task-option max_length", "--task-option takes NAME=VALUE such as max_length=8, "
                                                 "but got 'max_length'"),
        ("--task copy --task-option max_length=0",
         "task 'copy': max_length must be a whole number from 1 to 1000, but got 0"),
        ("--task copy --task-option min_length=11",
         "task 'copy': min_length must not exceed max_length, but got 11 and 10"),
        ("--task pairs", "task 'pairs' needs a file: pairs:FILE"),
        ("--task pairs:.", "FOLDER is a directory, not a text file"),
        ("--task sunspots --tokens word", "task 'sunspots' has no option 'tokens': it takes window, horizon, "
                                          "standardize"),
        ("--task sunspots --window 300", "yearly sunspot numbers 1700 to 2008 has 309 rows, 247 of them to train on, "
                                         "which is too few for a window of 300 and a horizon of 5: shorten them, or "
                                         "give more rows"),
        ("--task copy --loss huber", "task 'copy' is trained with cross_entropy, but got 'huber'"),
        ("--trials 0", "trials should be greater than or equal to 1, but got 0"),
        ("--optimizer lion", "optimizer should be 'sgd', 'momentum', 'nesterov', 'adagrad', 'adadelta', 'rmsprop', "
                             "'adam', 'adamw', 'nadam', 'radam' or 'own', but got 'lion'"),
        (f"{COPY} --batch-size 500",
         "batch_size must be at most the 150 pairs that task 'copy' has to train on, but got 500"),
        (f"{COPY} --device tpu", "the device must be one of cpu on this machine, but got 'tpu'"),
        (f"{COPY} --storage sqlite:///no/folder.db", None),
        ("--storage gradstudy.db", "'gradstudy.db' is not a database URL; for an SQLite file write "
                                   "sqlite:///gradstudy.db"),
        ("--storage mssql://host/db", "'mssql' databases are not supported; accepted are sqlite:///FILE, "
                                      "postgresql://USER@HOST/DATABASE or mysql://USER@HOST/DATABASE"),
    ],
)  # fmt: skip
def test_a_wrong_launch_says_what_is_accepted_and_makes_nothing(
    refused: Callable[..., str], words: str, sentence: str | None, folder: Path
) -> None:
    sentence = sentence or f"there is no folder {folder}/no to make folder.db in; make it first"
    assert refused(f"launch s {words}") == sentence.replace("FOLDER", str(folder))
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("name", ["a/b", "../s", "a b", ".s"])
def test_a_name_that_could_be_a_path_is_refused(refused: Callable[..., str], name: str) -> None:
    assert refused(["launch", name]).startswith("name must be 1 to 100 letters, digits, dots")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "there is no file s.toml"),
        ("trials = ", "s.toml is not TOML: Invalid value (at end of document)"),
        ("rate = 3", "there is no field 'rate' in a spec; accepted here are name, preset, task, task_options, "
                     "task_folder, file_digest, "
                     "loss, model, optimizer, momentum, beta1, beta2, epsilon, weight_decay, schedule, warmup, "
                     "halve_every, precision, steps, horizon, batch_size, trials, seeds, sampler, "
                     "pruner, frontier_width, like, seed, keep_steps, guard, own_draws, "
                     "space, divergence"),
        ("[model]\nwidth = 3", "there is no field 'model.width' in a spec; accepted here are hidden_size, "
                               "embedding_size, layers, bidirectional, attention, tied, label_smoothing, dropout, "
                               "forget_bias, parametrization, base_width"),
        ("trials = 'many'", "trials should be a valid integer, unable to parse string as an integer, "
                            "but got 'many'"),
        ("name = 'a/b'", "name must be 1 to 100 letters, digits, dots, dashes or underscores and begin with a "
                         "letter or digit, but got 'a/b'"),
    ],
)  # fmt: skip
def test_a_wrong_spec_file_is_refused(
    refused: Callable[..., str], folder: Path, text: str | None, sentence: str
) -> None:
    if text is not None:
        (folder / "s.toml").write_text(text)
    assert refused("launch s.toml") == sentence


def test_a_spec_file_that_is_no_text_is_refused(refused: Callable[..., str], folder: Path) -> None:
    (folder / "s.toml").write_bytes(b"\xff\xfe")
    assert refused("launch s.toml").startswith("cannot read s.toml: ")
    (folder / "t.toml").mkdir()
    assert refused("launch t.toml").startswith("cannot read t.toml: ")


@pytest.mark.parametrize("verb", [f"launch s {COPY}", "work s", "status", "report s", "replay s 0", "delete s --yes"])
def test_a_text_file_is_no_database(refused: Callable[..., str], folder: Path, verb: str) -> None:
    (folder / "notes.txt").write_text("Dear diary")
    assert refused(f"{verb} --storage sqlite:///notes.txt") == "notes.txt is not an SQLite file"


@pytest.mark.parametrize("verb", [f"launch s {COPY}", "work s", "status", "report s", "replay s 0", "delete s --yes"])
def test_somebody_elses_database_stays_as_it_is(refused: Callable[..., str], folder: Path, verb: str) -> None:
    with closing(sqlite3.connect(folder / "bank.db")) as connection:
        connection.execute("CREATE TABLE account (id INTEGER)")
    assert "holds other tables (account)" in refused(f"{verb} --storage sqlite:///bank.db")


@pytest.mark.parametrize("words", [["work", "s"], ["status"], ["report", "s"], ["replay", "s", "0"], ["delete", "s"],
                                   ["query", "SELECT 1"]])  # fmt: skip
def test_looking_at_a_missing_database_does_not_make_it(refused: Callable[..., str], words: list[str]) -> None:
    assert refused(words) == "there is no database at sqlite:///gradstudy.db; `gradstudy launch` makes one"


def test_a_read_only_folder_is_named(gradstudy: Run, finished_file: Path, read_only_folder: Path) -> None:
    result = gradstudy("launch", "s", *COPY.split(), "--storage", f"sqlite:///{read_only_folder}/new.db")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert f"{read_only_folder}/new.db cannot be written: " in result.stderr
    assert list(read_only_folder.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["query", "DROP TABLE gradstudy_trial"],
         "only queries that read are allowed here; the database refused: attempt to write a readonly database"),
        (["query", "DELETE FROM trials"],
         "only queries that read are allowed here; the database refused: attempt to write a readonly database"),
        (["query", "SELEKT 1"], 'the database cannot run this: near "SELEKT": syntax error'),
        (["query", "SELECT * FROM gone"], "the database cannot run this: no such table: gone"),
        (["query", "SELECT 1; SELECT 2"], "give one statement at a time"),
        (["replay", "s", "8"], "study 's' has no trial 8; its trials are 0 to 7"),
        (["replay", "t", "0"], "there is no study 't' in sqlite:///gradstudy.db; there are: s"),
        (["replay", "s", "0", "--device", "tpu"], "the device must be one of cpu on this machine, but got 'tpu'"),
        (["delete", "t", "--yes"], "there is no study 't' in sqlite:///gradstudy.db; there are: s"),
        (["report", "t"], "there is no study 't' in sqlite:///gradstudy.db; there are: s"),
        (["work", "t"], "there is no study 't' in sqlite:///gradstudy.db; there are: s"),
        (["work", "s", "--device", "tpu"], "the device must be one of cpu on this machine, but got 'tpu'"),
        (["status", "t"], "there is no study 't' in sqlite:///gradstudy.db; there are: s"),
    ],
)  # fmt: skip
def test_a_wrong_question_leaves_the_results_alone(
    finished_file: Path, folder: Path, refused: Callable[..., str], words: list[str], sentence: str
) -> None:
    (folder / "gradstudy.db").write_bytes(finished_file.read_bytes())
    assert refused(words) == sentence


def test_a_changed_spec_is_refused_with_what_differs(finished: Database, gradstudy: Run, flags: list[str]) -> None:
    result = gradstudy("launch", "s", *flags, "--steps", "21")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("gradstudy: the study 's' exists with another spec (stored -> given): ")
    assert ": steps: 20 -> 21; run" in result.stderr


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("postgresql+psycopg2://u:secret@127.0.0.1:1/x", 2),
        ("postgresql://u:secret@127.0.0.1:1/x", 1),
        ("mysql://u:secret@127.0.0.1:1/x", 1),
        ("oracle://u:secret@127.0.0.1:1/x", 2),
        ("postgresql:/u:secret@127.0.0.1:1/x", 2),
        ("postgresql://127.0.0.1:1/x?password=secret", 1),
    ],
)
@pytest.mark.parametrize("verb", [f"launch s {COPY}", "status"])
def test_a_database_password_is_never_printed(refused: Callable[..., str], url: str, code: int, verb: str) -> None:
    assert "secret" not in refused(f"{verb} --storage {url}", code)


def test_debug_shows_where_an_error_came_from(finished: Database, gradstudy: Run) -> None:
    assert isinstance(gradstudy("--debug", "report", "t").exception, NotFoundError)


def test_a_defect_keeps_its_traceback() -> None:
    def broken() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        with_exit_code(broken)()


def test_an_interrupted_command_exits_with_130() -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(typer.Exit) as caught:
        with_exit_code(interrupted)()
    assert caught.value.exit_code == 130


def test_a_reader_that_goes_away_is_no_error_to_tell(finished: Database) -> None:
    many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) SELECT i FROM n"
    command = [Path(sys.executable).with_name("gradstudy"), "query", many, "--format", "csv"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == b"i\r\n"
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 1
