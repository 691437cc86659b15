"""The catalogue of tasks: what there is, with which options. Does not import torch until a task is loaded."""

from importlib import import_module
from typing import TYPE_CHECKING

from gradstudy.models.tasks.errors import TaskError
from gradstudy.models.tasks.files.pair_format import BARS, CSV_FORMATS, LEXICON, TAB
from gradstudy.models.tasks.files.separator import NOTHING, SEPARATORS
from gradstudy.models.tasks.module_task import FORM
from gradstudy.models.tasks.options import AUTO, Choice, LineNumber, Names, Switch, WholeNumber
from gradstudy.models.tasks.task import VALUE_LOSSES, Task

if TYPE_CHECKING:
    from gradstudy.models.trainable import TaskData

_EXAMPLES = WholeNumber("examples", 10_000, "pairs to draw before equal ones are dropped", 2, 100_000)
_SEED = WholeNumber("seed", 0, "seed of the draw, the same for every trial", 0, 2**32 - 1)
_SEQUENCES = (
    WholeNumber("max_length", 10, "symbols in the longest sequence", 1, 1000),
    WholeNumber("min_length", 1, "symbols in the shortest sequence", 1, 1000),
    WholeNumber("symbols", 16, "different symbols", 2, 10_000),
    _EXAMPLES,
    _SEED,
)
_LONG_RANGE = (
    WholeNumber("length", 50, "steps of each sequence", 10, 10_000),
    WholeNumber("examples", 10_000, "sequences to draw", 20, 100_000),
    _SEED,
)
_WINDOWS = (
    WholeNumber("window", 20, "rows that the encoder reads", 1, 10_000),
    WholeNumber("horizon", 5, "rows that the decoder forecasts", 1, 10_000),
    Switch(
        "standardize", True, "whether each column is scaled to mean 0 and standard deviation 1 of the training rows"
    ),
)

_SEPARATORS_AS_SIGNS = {sign: name for name, sign in SEPARATORS.items() if sign != NOTHING}
_PAIR_FORMATS = (AUTO, TAB, *CSV_FORMATS, BARS, LEXICON)

_CATALOGUE = (
    Task(
        name="cmudict",
        description="letters to phonemes, the CMU Pronouncing Dictionary without stress marks",
        options=(WholeNumber("max_length", 12, "letters or phonemes of the longest word kept", 1, 40),),
        loader="gradstudy.models.tasks.cmudict:load_cmudict",
    ),
    Task(
        name="numbers",
        description="digits to English words, such as 1204 to one thousand two hundred and four",
        options=(WholeNumber("max_length", 6, "digits of the longest number", 1, 18), _EXAMPLES, _SEED),
        loader="gradstudy.models.tasks.number_words:load_numbers",
    ),
    Task(
        name="copy",
        description="a random sequence of symbols to itself",
        options=_SEQUENCES,
        loader="gradstudy.models.tasks.symbol_sequences:load_copy",
    ),
    Task(
        name="reverse",
        description="a random sequence of symbols to itself, backwards",
        options=_SEQUENCES,
        loader="gradstudy.models.tasks.symbol_sequences:load_reverse",
    ),
    Task(
        name="adding",
        description="the sum of the two marked numbers of a sequence; solved where the mse is below 0.01",
        options=_LONG_RANGE,
        losses=VALUE_LOSSES,
        decodes=False,
        loader="gradstudy.models.tasks.long_range:load_adding",
    ),
    Task(
        name="temporal_order",
        description="which of X and Y came first and second in a sequence; solved where the loss is below 0.0069",
        options=_LONG_RANGE,
        decodes=False,
        loader="gradstudy.models.tasks.long_range:load_temporal_order",
    ),
    Task(
        name="sunspots",
        description="yearly sunspot numbers since 1700, to be forecast",
        options=_WINDOWS,
        losses=VALUE_LOSSES,
        loader="gradstudy.models.tasks.series:load_sunspots",
    ),
    Task(
        name="regression",
        description="a noisy linear function of many inputs with targets in the hundreds, by a dense network",
        options=(
            WholeNumber("features", 20, "inputs", 1, 1000),
            WholeNumber("examples", 1000, "rows to draw, half of them to train on", 4, 100_000),
            Switch("standardize", False, "whether targets are scaled to mean 0 and standard deviation 1"),
            WholeNumber("seed", 1, "random_state of make_regression, the same for every trial", 0, 2**32 - 1),
        ),
        losses=VALUE_LOSSES,
        cells=("dense",),
        decodes=False,
        loader="gradstudy.models.tasks.regression:load_regression",
    ),
    Task(
        name="pairs",
        description="the pairs of a text file: lines of source, tab, target, or CSV, a lexicon, two files",
        options=(
            Choice("tokens", "char", "what a symbol is: a character, or a word between spaces", ("char", "word")),
            WholeNumber(
                "max_length", 0, "symbols of the longest source or target kept; 0 keeps 95% of the pairs", 0, 10_000
            ),
            WholeNumber("vocabulary", 10_000, "different symbols of a side; rarer ones are <unknown>", 2, 100_000),
            WholeNumber("examples", 100_000, "pairs kept of a longer file, by a hash of the source", 2, 10_000_000),
            WholeNumber("seed", 0, "of that hash, and so of the split", 0, 2**32 - 1),
            Choice("format", AUTO, "what stands between source and target", _PAIR_FORMATS),
            Names("columns", "", "columns of source and target, by name or number", "1,2"),
            Choice("header", AUTO, "whether the first line has names; auto: of CSV", (AUTO, "yes", "no")),
        ),
        reads_file=True,
        loader="gradstudy.models.tasks.files.pairs_file:load_pairs_file",
    ),
    Task(
        name="series",
        description="the numeric columns of a table in a text file, to be forecast",
        options=(
            *_WINDOWS,
            Names("columns", "", "columns to forecast; all that are numbers and do not just count"),
            WholeNumber("rows", 100_000, "rows kept of a longer file, the last ones", 3, 10_000_000),
            Choice("separator", AUTO, "what stands between cells", (AUTO, *SEPARATORS), _SEPARATORS_AS_SIGNS),
            Choice("decimal", AUTO, "the decimal sign", (AUTO, "point", "comma"), {".": "point", ",": "comma"}),
            LineNumber("header", AUTO, "line of the columns' names, 0 for none"),
            Names(
                "missing", "", "cells that mean a missing number, such as -9999, beside the usual ?, NA, null", "usual"
            ),
            Choice(
                "gaps",
                "forward",
                "what becomes of missing numbers: the number before, a line between, no such row, or an error",
                ("forward", "interpolate", "drop", "error"),
            ),
        ),
        losses=VALUE_LOSSES,
        reads_file=True,
        loader="gradstudy.models.tasks.series:load_series_file",
    ),
)

TASKS: dict[str, Task] = {task.name: task for task in _CATALOGUE}
"""Every task by name."""


def find_task(given: str) -> tuple[Task, str | None]:
    """The task that is meant by ``copy`` or ``pairs:FILE``, and the file.

    Raises:
        TaskError: there is no such task, or a file is missing or not taken.
    """
    name, colon, file = given.partition(":")
    task = TASKS.get(name)
    if task is None:
        usages = ", ".join([*(task.usage for task in TASKS.values()), FORM])
        raise TaskError(f"there is no task '{name}': choose from {usages}")
    if task.reads_file and not file:
        raise TaskError(f"task '{name}' needs a file: {task.usage}")
    if colon and not task.reads_file:
        raise TaskError(f"task '{name}' reads no file, but got {given!r}")
    return task, file or None


def load_task(name: str, **options: object) -> "TaskData":
    """The data of a task.

    Raises:
        TaskError: there is no such task or option, an option or a file cannot be accepted, or the task needs a
            package that is not installed.
    """
    task, file = find_task(name)
    settings = task.settings(options)
    module, _, function = task.loader.partition(":")
    read = {} if file is None else {"path": file}
    data: TaskData = getattr(import_module(module), function)(**settings, **read)
    return data
