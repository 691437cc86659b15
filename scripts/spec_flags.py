"""The flags that make up a spec: flag, field of the spec, help. The verbs and the documents are made from this table.

From a flag here a value goes to its field in ``study.spec.study_spec``. What is searched becomes a ``Setting`` in
``study.search.space``, and ``study.training.arrays`` gives spec and setting to the arrays of ``models``.
"""

import functools
import inspect
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from gradstudy.models.optimizer_settings import HYPERPARAMETERS, OPTIMIZERS
from gradstudy.models.schedule_names import SCHEDULES
from gradstudy.scripts.spec_input import Values, assignments, axis, merged, names
from gradstudy.study.errors import SpecError

MANY = list[str]
Read = Callable[[Any], Any]
"""From what typer has understood to the value of the field."""


@dataclass(frozen=True)
class Flag:
    """A flag that says something about a study.

    Attributes:
        name: as the command line has it.
        field: of the spec, with the fields that it lies in.
        kind: what typer reads.
        help: of the flag.
        metavar: what its value looks like, where that is not its kind.
        default: what happens without it, where that is worth a word.
        read: how what was read becomes the value of the field.
    """

    name: str
    field: str
    kind: Any
    help: str
    metavar: str | None = None
    default: str | None = None
    read: Read = lambda given: given

    @property
    def parameter(self) -> str:
        """The name of the parameter that it is to a verb."""
        return self.name.removeprefix("--").replace("-", "_")

    def as_parameter(self) -> inspect.Parameter:
        """The parameter that typer makes the flag from; None where it is not given."""
        switch = [f"{self.name}/--no-{self.name.removeprefix('--')}"] if self.kind is bool else [self.name]
        option = typer.Option(*switch, help=self.help, metavar=self.metavar, show_default=self.default or True)
        return inspect.Parameter(
            self.parameter, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[self.kind | None, option]
        )

    def values(self, given: Any) -> Values:
        """The part of a spec that it makes."""
        value: Any = self.read(given)
        for name in reversed(self.field.split(".")):
            value = {name: value}
        return dict(value)


def _named(given: str) -> list[str]:
    from gradstudy.models.strategies import SEARCHED_BY_DEFAULT

    return list(SEARCHED_BY_DEFAULT) if given == "all" else names(given)


def _options(given: list[str]) -> Values:
    return dict(assignments("--task-option", given, "max_length=8"))


def _thresholds(given: list[str]) -> Values:
    ranges = assignments("--threshold", given, "norm=0.01:10")
    return {strategy: axis("--threshold", text) for strategy, text in ranges.items()}


def _factors(given: list[str]) -> Values:
    return {name: names(text) for name, text in assignments("--vary", given, "hidden_size=32,64").items()}


def _hyperparameters(given: list[str]) -> Values:
    ranges = assignments("--search", given, "beta2=0.9:0.9999")
    return {name: _ends(name, text) for name, text in ranges.items()}


def _ends(name: str, text: str) -> tuple[float, float]:
    with suppress(ValueError):
        low, high = map(float, text.split(":"))
        return low, high
    raise SpecError(f"--search takes LOW:HIGH such as {name}=0.9:0.99, and --vary values, but got {text!r}")


def _scale(given: str) -> Values:
    return dict(assignments("--scale-to", [given], "hidden_size=512"))


def _learning_rates(given: str) -> Any:
    return axis("--lr", given)


OF_THE_TASK = (
    Flag(
        "--preset", "preset", str, "An experiment of the literature; other options change it. See `gradstudy presets`."
    ),
    Flag("--task", "task", str, "What to train on; see `gradstudy tasks`."),
    Flag("--task-option", "task_options", MANY, "Option of the task; repeatable.", "NAME=VALUE", read=_options),
    Flag("--loss", "loss", str, "Of real values: mse, mae, huber; of your own model also likelihood.", default="mse"),
    Flag("--tokens", "task_options.tokens", str, "What a symbol of pairs:FILE is: char or word."),
    Flag("--window", "task_options.window", int, "Rows that a forecast rests on."),
    Flag("--forecast", "task_options.horizon", int, "Rows that are forecast."),
    Flag("--standardize", "task_options.standardize", bool, "Scale real values by the training part."),
)
OF_THE_SPACE = (
    Flag("--cells", "space.cells", str, "Comma-separated: lstm, gru, rnn_tanh, rnn_relu.", read=names),
    Flag("--strategies", "space.strategies", str, "Comma-separated; all: those searched by default.", read=_named),
    Flag(
        "--lr",
        "space.learning_rate",
        str,
        "Learning rates: a range, or values such as 0.5 or 0.1,1,10 or 0.1:10:5 (points).",
        "LOW:HIGH|A,B,C",
        read=_learning_rates,
    ),
    Flag(
        "--threshold",
        "space.thresholds",
        MANY,
        "A strategy's thresholds: a range, or values as for --lr; repeatable.",
        "STRATEGY=LOW:HIGH|A,B,C",
        read=_thresholds,
    ),
    Flag(
        "--vary", "space.factors", MANY, "Search a field or task option, too; repeatable.", "NAME=A,B,C", read=_factors
    ),
    Flag(
        "--search",
        "space.hyperparameters",
        MANY,
        f"Search the optimizer's {', '.join(HYPERPARAMETERS[:-1])} or {HYPERPARAMETERS[-1]} on a range; repeatable.",
        "NAME=LOW:HIGH",
        read=_hyperparameters,
    ),
    Flag(
        "--scale-to",
        "space.scale_to",
        str,
        "Predict the best learning rate and the frontier of a larger model from smaller ones.",
        "NAME=VALUE",
        read=_scale,
    ),
)
OF_TRAINING = (
    Flag("--optimizer", "optimizer", str, f"{', '.join(OPTIMIZERS)}; of a model of your own also own.", "NAME"),
    Flag("--momentum", "momentum", float, "Of momentum and nesterov.", default="0.9"),
    Flag("--beta1", "beta1", float, "Of adam, adamw, nadam and radam.", default="0.9"),
    Flag("--beta2", "beta2", float, "Of adam, adamw, nadam and radam.", default="0.999"),
    Flag("--epsilon", "epsilon", float, "Of the optimizers that divide.", default="torch's own"),
    Flag("--weight-decay", "weight_decay", float, "Of any optimizer.", default="torch's own"),
    Flag("--schedule", "schedule", str, f"Of the learning rate after the warm-up: {', '.join(SCHEDULES)}.", "NAME"),
    Flag("--warmup", "warmup", float, "Steps in which the learning rate rises; below 1 a share.", "STEPS|SHARE"),
    Flag("--halve-every", "halve_every", int, "Steps between halvings, with --schedule halving."),
    Flag("--precision", "precision", str, "Of the computation: float32, bfloat16, or float16 on a GPU."),
    Flag("--trials", "trials", int, "Training runs of the study, replicates included."),
    Flag("--seeds", "seeds", int, "Replicates: runs of each setting, each with its own seed."),
    Flag("--steps", "steps", int, "Training steps of each trial."),
    Flag(
        "--horizon",
        "horizon",
        int,
        "Steps that the answer is for: the best settings are trained longer, as far as twice the trials' steps pay.",
        default="--steps",
    ),
    Flag("--batch-size", "batch_size", int, "Sequences in a batch."),
)
OF_THE_MODEL = (
    Flag("--hidden", "model.hidden_size", int, "Hidden units of each layer."),
    Flag("--layers", "model.layers", int, "Layers of the encoder, and of the decoder."),
    Flag(
        "--forget-bias", "model.forget_bias", float, "Initial bias of LSTM forget gates.", default="as torch draws it"
    ),
    Flag("--bidirectional", "model.bidirectional", bool, "Read the source in both directions."),
    Flag("--attention", "model.attention", bool, "Attend to the encoder's outputs, as --attend dot."),
    Flag("--attend", "model.attention", str, "How: dot (Luong), bahdanau or none.", "NAME"),
    Flag("--tied", "model.tied", bool, "One matrix as the decoder's embedding and the output layer's weight."),
    Flag("--label-smoothing", "model.label_smoothing", float, "Share of each target spread over all symbols."),
    Flag("--dropout", "model.dropout", float, "Dropout rate."),
    Flag("--parametrization", "model.parametrization", str, "By width: standard, or mup (Tensor Programs V).", "NAME"),
    Flag("--base-width", "model.base_width", int, "Hidden size at which mup is as standard.", default="64"),
    Flag("--guard", "guard", bool, "Skip steps with a non-finite gradient."),
    Flag("--own-draws", "own_draws", bool, "Trials of a model of your own that draws share nothing: one at a time."),
)
OF_THE_SEARCH = (
    Flag("--sampler", "sampler", str, "auto, qmc, random, tpe, frontier or grid."),
    Flag("--pruner", "pruner", str, "End trials that fall behind: none, median or hyperband."),
    Flag(
        "--frontier-width", "frontier_width", float, "End when every frontier's 95% interval is this narrow.", "DECADES"
    ),
    Flag("--like", "like", str, "Expect frontiers as this study found them, as far as they fit the runs.", "STUDY"),
    Flag("--seed", "seed", int, "Seed of the whole study."),
    Flag("--keep-steps", "keep_steps", str, "Steps of an ended trial that are kept: all, so many, or none.", "N"),
)

FLAGS = (*OF_THE_TASK, *OF_THE_SPACE, *OF_TRAINING, *OF_THE_MODEL, *OF_THE_SEARCH)
"""In the order of the help."""


def spec_values(given: Mapping[str, Any]) -> Values:
    """The part of a spec that was given as flags, by the names of their parameters.

    Raises:
        SpecError: a flag's text cannot be read.
    """
    values: Values = {}
    for flag in FLAGS:
        if given[flag.parameter] not in (None, []):
            values = merged(values, flag.values(given[flag.parameter]))
    return values


def takes_spec_flags(verb: Callable[..., None]) -> Callable[..., None]:
    """Give a verb every flag of a spec in place of its parameter ``flags``, which gets the values that they make."""

    @functools.wraps(verb)
    def run(**given: Any) -> None:
        own = {name: value for name, value in given.items() if name not in ours}
        verb(**own, flags=spec_values(given))

    ours = {flag.parameter for flag in FLAGS}
    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(verb).parameters.items():
        own = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)]
        parameters += [flag.as_parameter() for flag in FLAGS] if name == "flags" else own
    # Typer asks a function for these.
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters} | {"return": None}
    return run
