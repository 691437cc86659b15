"""``gradstudy exclude NAME N``: trials that count nowhere."""

from typing import Annotated

import typer

from gradstudy.scripts.options import Storage, StudyName
from gradstudy.storage.default_storage import DEFAULT_STORAGE


def exclude(
    name: StudyName,
    numbers: Annotated[list[int], typer.Argument(metavar="N...", help="Numbers of the trials.")],
    why: Annotated[str | None, typer.Option(help="The reason, which reports show.")] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Let them count again.")] = False,
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """Let trials count nowhere: they are kept and shown, with the reason why."""
    from gradstudy.scripts.errors import UsageError
    from gradstudy.storage.database import Database
    from gradstudy.storage.exclusion import exclude_trials, include_trials
    from gradstudy.storage.studies import find_study
    from gradstudy.study.wording import counted

    why = " ".join((why or "").split())
    if undo and why:
        raise UsageError("--undo lets trials count again, and takes no --why")
    if not undo and not why:
        raise UsageError('say why these trials are not to count, such as --why "the disk was full"')
    chosen = sorted(set(numbers))
    with Database.open(storage) as database:
        record = find_study(database, name)
        if undo:
            include_trials(database, record, chosen)
        else:
            exclude_trials(database, record, chosen, why)
    trials = f"{counted(len(chosen), 'trial')} of study {name}: {', '.join(map(str, chosen))}"
    typer.echo(f"{'included' if undo else 'excluded'} {trials}")
