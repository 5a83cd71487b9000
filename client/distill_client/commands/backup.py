"""``distill backup`` and ``distill restore``: an embedded service's folder, saved and brought back. This process becomes them."""

from pathlib import Path
from typing import Annotated

import typer

from distill_client.credentials import home
from distill_client.service_process import become

MODULE = "embedded.backup"


def backup(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER", help="To be made; there when all of it is, or not at all."
        ),
    ],
    data: Annotated[
        Path | None,
        typer.Option(help="The service's folder; default: DISTILL_HOME, or ./distill-data."),
    ] = None,
) -> None:
    """Save the embedded service of this machine, also while it runs."""
    become(MODULE, "save", str(folder), "--data", str(data or home()))


def restore(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A backup.")],
    data: Annotated[
        Path, typer.Option(help="Folder of a service that is to be; `distill up --data` starts it.")
    ],
) -> None:
    """Make a service's folder from a backup."""
    become(MODULE, "restore", str(folder), "--data", str(data))
