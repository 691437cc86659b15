"""A table without rules for a terminal, as every verb prints one."""

from rich.table import Table


def plain_table(gap: int = 2, *, with_headings: bool = True) -> Table:
    """An empty table.

    Args:
        gap: spaces between columns.
        with_headings: whether the columns' headings are shown, in bold.
    """
    return Table(box=None, header_style="bold", padding=(0, gap, 0, 0), show_header=with_headings)
