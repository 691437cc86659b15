"""``gradstudy replay NAME N``: retrain one trial alone and compare with what was recorded."""

import math
from typing import Annotated

import typer

from gradstudy.scripts.exit_codes import WORK_FAILED
from gradstudy.scripts.options import Storage, StudyName
from gradstudy.storage.default_storage import DEFAULT_STORAGE


def replay(
    name: StudyName,
    number: Annotated[int, typer.Argument(metavar="N", help="Number of the trial.")],
    storage: Storage = DEFAULT_STORAGE,
    device: Annotated[str, typer.Option(help="Where to train: cpu or cuda.")] = "cpu",
) -> None:
    """Retrain one trial alone and compare with what was recorded."""
    from gradstudy.scripts.running.users_code import say_import
    from gradstudy.storage.database import Database
    from gradstudy.storage.studies import find_study
    from gradstudy.study.spec.study_spec import stored_spec
    from gradstudy.study.training.device import check_device, set_up_process
    from gradstudy.study.training.recorded_trial import in_words
    from gradstudy.study.training.replay import TOLERANCE, replay_trial

    check_device(device)
    set_up_process()
    with Database.open(storage) as database:
        say_import(stored_spec(find_study(database, name)))
        replayed = replay_trial(database, name, number, device)
    recorded, result = replayed.recorded, replayed.result
    typer.echo(in_words(recorded))
    for label, outcome, steps, final_loss in (
        ("recorded", recorded["outcome"], recorded["steps"], recorded["final_loss"]),
        ("replayed", result.outcome, result.steps, result.final_loss),
    ):
        typer.echo(f"{label}: {outcome} after {steps} steps, smoothed loss {final_loss:.6f}")
    for metric, value in (result.metrics or {}).items():
        typer.echo(f"{metric}: recorded {_shown(recorded['metrics'].get(metric))}, replayed {_shown(value)}")
    largest = replayed.steps["difference"].max()
    if replayed.agrees:
        typer.echo(f"they agree: losses differ by {largest:.1e} at most, relatively")
        return
    where = replayed.first_difference
    at = "" if where is None else f"; losses differ by more than {TOLERANCE:g} from step {where}"
    typer.echo(f"they do not agree{at}")
    raise typer.Exit(WORK_FAILED)


def _shown(value: float | None) -> str:
    """Six digits; of what was not finite when it was recorded nothing is known."""
    return "not finite" if value is None or not math.isfinite(value) else f"{value:.6g}"
