"""``gradstudy tasks``: the catalogue of tasks."""


def tasks() -> None:
    """List the tasks that a study can train on."""
    from rich.console import Console
    from rich.table import Table

    from gradstudy.models.tasks.catalogue import TASKS

    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for heading in ("task", "description", "options with their defaults"):
        table.add_column(heading, overflow="fold")
    for entry in TASKS.values():
        options = (f"{option.name}={option.shown_default}" for option in entry.options)
        table.add_row(entry.usage, f"{entry.description} ({', '.join(entry.losses)})", ", ".join(options))
    Console().print(table)
