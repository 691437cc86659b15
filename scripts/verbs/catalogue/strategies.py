"""``gradstudy strategies``: the catalogue of clipping strategies."""

from gradstudy.models.strategies import STRATEGIES


def strategies() -> None:
    """List the clipping strategies: rule, unit of the threshold, range searched by default, source.

    A study that names none compares those up to zclip.
    """
    from gradstudy.study.report.plain_console import plain_console, plain_table

    table = plain_table()
    for heading in ("strategy", "rule", "threshold c", "range", "source"):
        table.add_column(heading, overflow="fold")
    for entry in STRATEGIES.values():
        searched = "-" if entry.low is None else f"{entry.low:g} - {entry.high:g}"
        table.add_row(entry.name, entry.rule, entry.unit or "-", searched, entry.source)
    plain_console().print(table)
