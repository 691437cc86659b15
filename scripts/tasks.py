"""``gradstudy tasks``: the catalogue of tasks."""


def tasks() -> None:
    """List the tasks that a study can train on."""
    from rich.console import Console
    from rich.table import Table

    from gradstudy.models.tasks.catalogue import TASKS

    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for heading in ("task", "description", "options with their defaults"):
        table.add_column(heading, overflow="fold")
    for name, entry in TASKS.items():
        table.add_row(name, entry.description, ", ".join(f"{option.name}={option.default}" for option in entry.options))
    Console().print(table)
