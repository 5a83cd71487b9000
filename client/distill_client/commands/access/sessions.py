"""``distill sessions``: who is signed in to the dashboard."""

from typing import Annotated

import typer

from distill_client.client import Distill
from distill_client.display import echo, format_minute, show_list
from distill_client.options import AsJson
from distill_client.responses import ListedSession

app = typer.Typer(
    no_args_is_help=True,
    help="Sessions of the dashboard: all of the project with the scope admin, else those of the "
    "same key.",
)

COLUMNS = ["id", "who", "scopes", "signed in (UTC)", "last used", "ends"]


@app.command("list")
def list_sessions(as_json: AsJson = False) -> None:
    """List the sessions that have not ended."""
    with Distill() as service:
        show_list(service.sessions(), COLUMNS, row, as_json=as_json)


def row(session: ListedSession) -> list[object]:
    return [
        session.id,
        session.subject or f"key {session.key_name}",
        " ".join(session.scopes),
        format_minute(session.created_at),
        format_minute(session.last_used_at),
        format_minute(session.expires_at),
    ]


@app.command()
def end(session_id: Annotated[str, typer.Argument(metavar="ID")]) -> None:
    """End a session, with immediate effect."""
    with Distill() as service:
        session = service.end_session(session_id)
    echo(f"{session.id} has ended.")
