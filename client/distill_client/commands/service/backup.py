"""``distill backup`` and ``distill restore``: the folder of an embedded service."""

from pathlib import Path
from typing import Annotated

import typer

from distill_client.credentials import home
from distill_client.service_process import exec_service

MODULE = "embedded.backup"


def backup(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER",
            help="The folder to create. It appears only once the backup is complete.",
        ),
    ],
    data: Annotated[
        Path | None,
        typer.Option(help="The service's folder; default: DISTILL_HOME, or ./distill-data."),
    ] = None,
) -> None:
    """Back up the embedded service of this machine, which may be running."""
    exec_service(MODULE, "save", str(folder), "--data", str(data or home()))


def restore(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A backup.")],
    data: Annotated[
        Path,
        typer.Option(help="The service's folder to create; `distill up --data` then starts it."),
    ],
) -> None:
    """Create an embedded service's folder from a backup."""
    exec_service(MODULE, "restore", str(folder), "--data", str(data))
