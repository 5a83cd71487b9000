"""``distill keys``: who may use the service."""

from typing import Annotated

import typer

from distill_client.client import Distill
from distill_client.display import minute, say, show_table, tell

app = typer.Typer(no_args_is_help=True, help="API keys; needs a key with the scope admin.")


@app.command()
def create(
    name: str,
    scope: Annotated[
        list[str] | None,
        typer.Option(
            help="read, submit, admin or operator; once for each; default: read and submit."
        ),
    ] = None,
    expires_in_days: Annotated[int | None, typer.Option(min=1)] = None,
) -> None:
    """Make a key and print its secret, which cannot be had again."""
    with Distill() as service:
        key = service.create_key(name, scope or ["read", "submit"], expires_in_days)
    tell(f"{key.id} ({', '.join(key.scopes)}); keep its secret, it is not shown again:")
    say(key.secret or "")


@app.command("list")
def list_keys() -> None:
    """List the keys, without their secrets."""
    with Distill() as service:
        found = list(service.keys())
    show_table(
        ["id", "name", "scopes", "made (UTC)", "last used", "ends", "revoked"],
        (
            [
                it.id,
                it.name,
                " ".join(it.scopes),
                minute(it.created_at),
                minute(it.last_used_at),
                minute(it.expires_at),
                minute(it.revoked_at),
            ]
            for it in found
        ),
    )


@app.command()
def revoke(key_id: Annotated[str, typer.Argument(metavar="ID")]) -> None:
    """Make a key worthless at once."""
    with Distill() as service:
        service.revoke_key(key_id)
    say(f"{key_id} is revoked.")
