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


def send(transport: Transport, collection: str, kind: type[Imported], body: dict[str, Any], file: Path) -> Imported:
    if not file.is_file():
        raise FileNotFoundError(f"There is no file {file}.")
    row = read(kind, transport.post(collection, body))

    def still_awaited() -> bool:
        return get(transport, collection, kind, row.id).status == "awaiting_upload"

    upload(transport, f"{collection}/{row.id}/content", file, still_awaited)
    return get(transport, collection, kind, row.id)


def wait(transport: Transport, collection: str, kind: type[Imported], reference: str) -> Imported:
    """When it is ready. Raises DistillProblem, with the importer's reason, if it was refused."""
    while (row := get(transport, collection, kind, reference)).status == "importing":
        time.sleep(POLL_SECONDS)
    if row.status == "ready":
        return row
    if row.status == "awaiting_upload":
        raise DistillProblem(409, "awaiting_upload", f"The contents of {row.name!r} have not been sent.")
    problem = row.problem or {}
    raise DistillProblem(422, problem.get("code", "refused_upload"), problem.get("detail", f"{row.name!r} was refused."))
