"""``distill storage``: where the service's files are, the same commands as there: this process becomes them."""

from pathlib import Path
from typing import Annotated

import typer

from distill_client.service_process import become

app = typer.Typer(
    no_args_is_help=True, help="The service's stored files, on the machine where it runs."
)
AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]
Data = Annotated[
    Path | None,
    typer.Option(help="Of an embedded service; default: what DISTILL_* says, or ./distill-data."),
]


@app.command()
def gc(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be removed.")
    ] = False,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Remove what nobody needs any more. Workers do that by themselves, once an hour."""
    begin("gc", data, "--dry-run" if dry_run else None, "--json" if as_json else None)


@app.command()
def verify(as_json: AsJson = False, data: Data = None) -> None:
    """Read all stored files again; exit status 1 if one is missing, or not what was stored."""
    begin("verify", data, "--json" if as_json else None)


def begin(command: str, data: Path | None, *options: str | None) -> None:
    given = [option for option in options if option is not None] + (
        ["--data", str(data)] if data is not None else []
    )
    become("core.store.commands.storage", command, *given)
