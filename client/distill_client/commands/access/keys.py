"""``distill keys``: who may use the service."""

from typing import Annotated

import typer

from distill_client.client import Distill
from distill_client.display import echo, echo_stderr, format_minute, show_table
from distill_client.responses import Key

app = typer.Typer(no_args_is_help=True, help="API keys; needs a key with the scope admin.")

COLUMNS = ["id", "name", "scopes", "created (UTC)", "last used", "expires", "revoked"]


@app.command()
def create(
    name: str,
    scope: Annotated[
        list[str] | None,
        typer.Option(help="read, submit, admin or operator; repeatable; default: read and submit."),
    ] = None,
    expires_in_days: Annotated[int | None, typer.Option(min=1)] = None,
) -> None:
    """Create a key and print its secret, which cannot be shown again."""
    with Distill() as service:
        key = service.create_key(name, scope or ["read", "submit"], expires_in_days)
    echo_stderr(f"{key.id} ({', '.join(key.scopes)}). Save its secret; it is not shown again:")
    echo(key.secret or "")


@app.command("list")
def list_keys() -> None:
    """List the keys, without their secrets."""
    with Distill() as service:
        show_table(COLUMNS, map(row, service.keys()))


def row(key: Key) -> list[object]:
    return [
        key.id,
        key.name,
        " ".join(key.scopes),
        format_minute(key.created_at),
        format_minute(key.last_used_at),
        format_minute(key.expires_at),
        format_minute(key.revoked_at),
    ]


@app.command()
def revoke(key_id: Annotated[str, typer.Argument(metavar="ID")]) -> None:
    """Revoke a key, with immediate effect."""
    with Distill() as service:
        service.revoke_key(key_id)
    echo(f"{key_id} is revoked.")
