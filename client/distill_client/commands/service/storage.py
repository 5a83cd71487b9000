"""``distill storage``: the stored files, on the machine that runs the service."""

from pathlib import Path
from typing import Annotated

import typer

from distill_client.options import AsJson
from distill_client.service_process import exec_service

app = typer.Typer(
    no_args_is_help=True, help="The service's stored files, on the machine that runs it."
)

MODULE = "core.store.commands.storage"
Data = Annotated[
    Path | None,
    typer.Option(
        help="The folder of an embedded service; default: as set by DISTILL_*, or ./distill-data."
    ),
]


@app.command()
def gc(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only print what would be removed.")
    ] = False,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Remove files that are no longer needed. The workers do the same once an hour."""
    options = ["--dry-run"] if dry_run else []
    exec_service(MODULE, "gc", *options, *common_options(as_json, data))


@app.command()
def verify(as_json: AsJson = False, data: Data = None) -> None:
    """Read every stored file and compare its SHA-256.

    The exit status is 1 if a file is missing or has changed.
    """
    exec_service(MODULE, "verify", *common_options(as_json, data))


def common_options(as_json: bool, data: Path | None) -> list[str]:
    options = ["--json"] if as_json else []
    if data is not None:
        options += ["--data", str(data)]
    return options
