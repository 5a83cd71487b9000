"""``distill storage``: what a project stores; and on the service's machine, all stored files."""

from pathlib import Path
from typing import Annotated

import typer

from distill_client.client import Distill
from distill_client.display import echo, format_bytes, show_json, show_table
from distill_client.options import AsJson
from distill_client.service_process import exec_service

app = typer.Typer(
    help="What the project stores; with gc and verify, all stored files on the service's machine."
)

MODULE = "core.store.commands.storage"
Data = Annotated[
    Path | None,
    typer.Option(
        help="The folder of an embedded service; default: as set by DISTILL_*, or ./distill-data."
    ),
]


@app.callback(invoke_without_command=True)
def show_totals(context: typer.Context, as_json: AsJson = False) -> None:
    """Show how much the project stores, by kind, and the space that is left."""
    if context.invoked_subcommand is not None:
        return
    with Distill() as service:
        storage = service.storage()
    if as_json:
        show_json(storage)
        return
    totals = {**storage.kinds, "deleted": storage.deleted, "all": storage.total}
    rows = ([name, total.files, format_bytes(total.bytes)] for name, total in totals.items())
    show_table(["kind", "files", "size"], rows)
    if storage.free_bytes is not None:
        capacity = format_bytes(storage.capacity_bytes)
        echo(f"{format_bytes(storage.free_bytes)} of {capacity} are free.")


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
