"""``gradstudy tasks``: the catalogue of tasks, or the options of one."""

from typing import Annotated

import typer


def tasks(
    name: Annotated[
        str | None, typer.Argument(metavar="[TASK]", help="Explain the options of this task.", show_default="all tasks")
    ] = None,
) -> None:
    """List the tasks that a study can train on."""
    from gradstudy.models.tasks.catalogue import TASKS
    from gradstudy.scripts.errors import UsageError
    from gradstudy.study.report.plain_console import plain_console, plain_table

    table = plain_table()
    if name is None:
        for heading in ("task", "description", "options with their defaults"):
            table.add_column(heading, overflow="fold")
        for entry in TASKS.values():
            options = (f"{option.name}={option.shown_default}" for option in entry.options)
            table.add_row(entry.usage, f"{entry.description} ({', '.join(entry.losses)})", ", ".join(options))
    else:
        task = TASKS.get(name.partition(":")[0])
        if task is None:
            raise UsageError(f"there is no task {name!r}: choose from {', '.join(TASKS)}")
        for heading in ("option", "default", "accepted", "meaning"):
            table.add_column(heading, overflow="fold")
        for option in task.options:
            table.add_row(option.name, option.shown_default, option.accepted, option.description)
    plain_console().print(table)
