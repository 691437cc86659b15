"""A terminal that prints people's text as it is, and tables without rules."""

from typing import Any

from rich.console import Console
from rich.table import Table


def plain_console(**given: Any) -> Console:
    """A console for which neither brackets are markup nor names between colons emoji.

    ``rich.text.Text`` carries the styles. A path such as ``[/old]/x.tsv`` would vanish, or end the program.

    Args:
        given: what else ``Console`` takes.
    """
    return Console(markup=False, emoji=False, **given)


def plain_table(gap: int = 2, *, with_headings: bool = True) -> Table:
    """An empty table.

    Args:
        gap: spaces between columns.
        with_headings: whether the columns' headings are shown, in bold.
    """
    return Table(box=None, header_style="bold", padding=(0, gap, 0, 0), show_header=with_headings)
