"""``distill audit``: who changed what, and who was refused."""

from itertools import islice
from typing import Annotated

import typer

from distill_client.client import Distill
from distill_client.display import format_minute, show_table
from distill_client.responses import AuditEntry

COLUMNS = [
    "at (UTC)",
    "status",
    "code",
    "times",
    "action",
    "target",
    "key",
    "address",
    "request",
]


def audit(
    action: Annotated[str | None, typer.Option(help='For example "POST /v1/jobs".')] = None,
    key: Annotated[str | None, typer.Option(help="Id of an API key.")] = None,
    since: Annotated[str | None, typer.Option(help="For example 2026-01-31T12:00:00Z.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of entries.")] = 50,
) -> None:
    """List changes and refused requests, newest first. Needs a key with the scope admin."""
    with Distill() as service:
        entries = islice(service.audit(action=action, key=key, since=since), limit)
        show_table(COLUMNS, map(row, entries))


def row(entry: AuditEntry) -> list[object]:
    return [
        format_minute(entry.at),
        entry.status,
        entry.code,
        entry.times,
        entry.action,
        entry.target,
        entry.key_id,
        entry.address,
        entry.request_id,
    ]
