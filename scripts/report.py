"""``gradstudy report NAME``: which settings avoid divergence, in the terminal."""

from typing import TYPE_CHECKING

from gradstudy.scripts.options import DEFAULT_STORAGE, Storage, StudyName

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

    from gradstudy.study.report import Report


def report(name: StudyName, storage: Storage = DEFAULT_STORAGE) -> None:
    """Say which settings avoid divergence: the answer, the strategies, the map."""
    from rich.console import Console

    from gradstudy.storage.database import Database
    from gradstudy.study.report import read_report

    with Database.open(storage) as database:
        made = read_report(database, name)
    print_report(made, Console())


def print_report(made: "Report", console: "Console") -> None:
    """Print a report, the answer first."""
    from gradstudy.scripts.divergence_map import divergence_map

    console.print(_title(made))
    console.print()
    console.print(_answer(made))
    if made.recommendation:
        console.print()
        console.print(_code(made.recommendation.pytorch), soft_wrap=True, end="")
    if not made.strategies.empty:
        console.print("\n[bold]Each strategy[/]  (learning rates and thresholds over their whole ranges)\n")
        console.print(_strategies(made))
        console.print("\n[bold]Where it diverged[/]  (learning rate to the right, threshold downwards)\n")
        console.print(divergence_map(made))


def _title(made: "Report") -> str:
    spec, outcomes = made.study.spec, made.trials["outcome"].value_counts()
    ended = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.items()) or "none has ended yet"
    return (
        f"[bold]Study {made.study.name}[/]: {spec['task']}, {spec['optimizer']}, hidden "
        f"{spec['model']['hidden_size']}, batch {spec['batch_size']}, {spec['steps']} steps a trial\n"
        f"{int(outcomes.sum())} of {made.study.budget} trials: {ended}"
    )


def _answer(made: "Report") -> "RenderableType":
    from rich.panel import Panel

    best = made.recommendation
    if best is None:
        return Panel(f"No setting can be recommended: no trial trained ({_why_not(made)}).", title="Answer")
    with_threshold = "" if best.threshold is None else f" at {best.threshold:.3g}"
    text = (
        f"[bold]{best.cell.upper()}, {best.strategy}{with_threshold}, learning rate "
        f"{best.learning_rate:.3g}[/]\n"
        f"validation loss {best.validation_loss:.3f}; {best.diverged} of {best.runs} runs within half a decade "
        f"diverged (95% interval {best.rate_low:.0%} to {best.rate_high:.0%}); trial {best.number}"
    )
    return Panel(text, title="Answer", title_align="left")


def _why_not(made: "Report") -> str:
    counts = made.trials["outcome"].value_counts()
    diverged, stalled = int(counts.get("diverged", 0)), int(counts.get("stalled", 0))
    if stalled:
        return f"{diverged} diverged, {stalled} stalled: train more steps"
    return f"all {diverged} diverged: search lower learning rates" if diverged else "nothing has ended yet"


def _code(python: str) -> "Text":
    """Code that can be pasted: without a frame, and with its lines as they are."""
    from rich.syntax import Syntax

    return Syntax("", "python", background_color="default").highlight(python)


def _strategies(made: "Report") -> "RenderableType":
    from rich.table import Table

    table = Table(box=None, header_style="bold", padding=(0, 1, 0, 0))
    table.add_column("cell\n", no_wrap=True)
    table.add_column("strategy\n", no_wrap=True)
    for heading in (
        "diverged\n/ runs",
        "rate, 95%\ninterval",
        "largest lr\nkept",
        "smallest lr\ndiverged",
        "best\nloss",
        "updates\nclipped",
    ):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in made.strategies.to_dict("records"):
        table.add_row(
            row["cell"],
            row["strategy"],
            f"{row['diverged']}/{row['runs']}",
            f"{row['rate']:.0%}, {100 * row['rate_low']:.0f}-{row['rate_high']:.0%}",
            _number(row["largest_kept_learning_rate"], ".3g"),
            _number(row["smallest_diverged_learning_rate"], ".3g"),
            _number(row["best_validation_loss"], ".3f"),
            _number(row["clipped_fraction"], ".0%"),
        )
    return table


def _number(value: float, form: str) -> str:
    return "-" if value != value else format(value, form)
