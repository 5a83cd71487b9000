"""``distill audit``: who changed what, and who was refused."""

from itertools import islice
from typing import Annotated

import typer

from distill_client.client import Distill
from distill_client.display import minute, show_table


def audit(
    action: Annotated[str | None, typer.Option(help='Such as "POST /v1/jobs".')] = None,
    key: Annotated[str | None, typer.Option(help="Id of a key.")] = None,
    since: Annotated[str | None, typer.Option(help="Such as 2026-01-31T12:00:00Z.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many lines, at most.")] = 50,
) -> None:
    """List changes and refused requests, the newest first; needs a key with the scope admin."""
    with Distill() as service:
        found = list(islice(service.audit(action=action, key=key, since=since), limit))
    show_table(
        ["at (UTC)", "status", "code", "times", "action", "target", "key", "address", "request"],
        (
            [
                minute(it.at),
                str(it.status),
                it.code or "",
                str(it.times),
                it.action,
                it.target or "",
                it.key_id or "",
                it.address or "",
                it.request_id,
            ]
            for it in found
        ),
    )
