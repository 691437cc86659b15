"""``gradstudy status [NAME]``: how far the studies are."""

from typing import TYPE_CHECKING, Annotated

import typer

from gradstudy.scripts.options import Storage
from gradstudy.scripts.server_options import takes_server
from gradstudy.storage.default_storage import DEFAULT_STORAGE

if TYPE_CHECKING:
    from gradstudy.scripts.client import Client
    from gradstudy.scripts.web.api.messages import Study


@takes_server
def status(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Name of the study.", show_default="every study")
    ] = None,
    storage: Storage = DEFAULT_STORAGE,
    *,
    client: "Client | None",
) -> None:
    """Show progress, outcomes so far and workers."""
    from gradstudy.scripts.running.status_table import print_status

    if client is not None:
        studies = client.studies() if name is None else [client.study(name)]
        where, command = client.url, f"gradstudy --server {client.url}"
    else:
        (studies, where), command = _stored(storage, name), "gradstudy"
    if studies:
        print_status(studies, command)
    else:
        typer.echo(f"{where} holds no studies yet")


def _stored(storage: str, name: str | None) -> "tuple[list[Study], str]":
    """The studies of a database, and the database for printing."""
    from gradstudy.scripts.web.api.how_far import how_far
    from gradstudy.storage.database import Database
    from gradstudy.storage.studies import find_study, list_studies

    with Database.open(storage) as database:
        records = list_studies(database) if name is None else [find_study(database, name)]
        return how_far(database, records), database.display_url
