"""Models and data sets on their way in: named first, then sent, then imported by a worker, then ready or refused."""

import time
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from client.answers import Dataset, Model, read
from client.errors import DistillProblem
from client.transfers import upload
from client.transport import Transport

POLL_SECONDS = 0.5
Imported = TypeVar("Imported", Model, Dataset)


def get(transport: Transport, collection: str, kind: type[Imported], reference: str) -> Imported:
    return read(kind, transport.get(f"{collection}/{quote(reference, safe='')}"))


def delete(transport: Transport, collection: str, kind: type[Imported], reference: str) -> Imported:
    return read(kind, transport.send("DELETE", f"{collection}/{quote(reference, safe='')}"))


def restore(transport: Transport, collection: str, kind: type[Imported], row_id: str) -> Imported:
    return read(kind, transport.post(f"{collection}/{quote(row_id, safe='')}/restore"))


def send(
    transport: Transport, collection: str, kind: type[Imported], body: dict[str, Any], file: Path
) -> Imported:
    row = _named(transport, collection, kind, body)

    def still_awaited() -> bool:
        return get(transport, collection, kind, row.id).status == "awaiting_upload"

    upload(transport, f"{collection}/{row.id}/content", file, still_awaited)
    return get(transport, collection, kind, row.id)


def _named(
    transport: Transport, collection: str, kind: type[Imported], body: dict[str, Any]
) -> Imported:
    """A new one; or the one that an earlier call named alike in every respect, and could not send."""
    try:
        return read(kind, transport.post(collection, body))
    except DistillProblem as problem:
        if problem.code != "name_taken":
            raise
        row = get(transport, collection, kind, body["name"])
        if row.status != "awaiting_upload" or not _covers(
            {**row.model_dump(), **(row.description or {})}, body
        ):
            raise
        return row


def _covers(there: Any, asked: Any) -> bool:
    if isinstance(there, dict) and isinstance(asked, dict):
        return all(_covers(there.get(key), value) for key, value in asked.items())
    return bool(there == asked)


def wait(transport: Transport, collection: str, kind: type[Imported], reference: str) -> Imported:
    """When it is ready. Raises DistillProblem, with the importer's reason, if it was refused."""
    while (row := get(transport, collection, kind, reference)).status == "importing":
        time.sleep(POLL_SECONDS)
    if row.status == "ready":
        return row
    if row.status == "awaiting_upload":
        raise DistillProblem(
            409, "awaiting_upload", f"The contents of {row.name!r} have not been sent."
        )
    problem = row.problem or {}
    raise DistillProblem(
        422,
        problem.get("code", "refused_upload"),
        problem.get("detail", f"{row.name!r} was refused."),
    )
