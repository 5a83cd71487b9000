"""``distill up``: the embedded service."""

from pathlib import Path
from typing import Annotated

import typer

from distill_client.credentials import home
from distill_client.service_process import exec_service


def up(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 for any free port.")] = 8321,
    data: Annotated[
        Path | None,
        typer.Option(help="The service's folder; default: DISTILL_HOME, or ./distill-data."),
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:0, …")] = None,
    host: Annotated[
        str | None,
        typer.Option(help="The address to listen on; default: only this machine can connect."),
    ] = None,
) -> None:
    """Start the service on this machine: API, worker, SQLite and files in one folder.

    Ctrl-C ends it.
    """
    options = {
        "--port": str(port),
        "--data": str(data or home()),
        "--device": device,
        "--host": host,
    }
    arguments = [
        part for name, value in options.items() if value is not None for part in (name, value)
    ]
    exec_service("embedded", *arguments)
