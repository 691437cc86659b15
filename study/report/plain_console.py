"""A terminal that prints people's text as it is."""

from typing import Any

from rich.console import Console


def plain_console(**given: Any) -> Console:
    """A console for which neither brackets are markup nor names between colons emoji.

    ``rich.text.Text`` carries the styles. A path such as ``[/old]/x.tsv`` would vanish, or end the program.

    Args:
        given: what else ``Console`` takes.
    """
    return Console(markup=False, emoji=False, **given)
