"""Models and data sets, which are uploaded and imported by the same mechanism.

Each is created under a name, then its file is uploaded, then a worker imports it; in the end it is
ready, or refused.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import httpx2

from distill_client.errors import DistillProblem
from distill_client.responses import Dataset, Model, parse_response
from distill_client.transport import (
    Transport,
    is_busy,
    is_transient,
    require_success,
    retry_after,
)

POLL_SECONDS = 0.5
STORE_SECONDS = 600.0
"""How long the service may take to store an upload after its last byte."""

UploadT = TypeVar("UploadT", Model, Dataset)


@dataclass(frozen=True)
class UploadCollection(Generic[UploadT]):
    """The models, or the data sets, of a service."""

    transport: Transport
    path: str
    """models or datasets."""
    model: type[UploadT]
    """The class of the responses."""

    def get(self, reference: str) -> UploadT:
        """Return one, by id or name."""
        return parse_response(self.model, self.transport.get(self._item_path(reference)))

    def edit(
        self, reference: str, changes: Mapping[str, Any], if_match: str | None = None
    ) -> UploadT:
        """Change name, notes or metadata of one, by id or name."""
        response = self.transport.patch(self._item_path(reference), dict(changes), if_match)
        return parse_response(self.model, response)

    def delete(self, reference: str) -> UploadT:
        """Delete one, by id or name."""
        response = self.transport.send("DELETE", self._item_path(reference))
        return parse_response(self.model, response)

    def restore(self, item_id: str) -> UploadT:
        """Undo ``delete``."""
        response = self.transport.post(f"{self._item_path(item_id)}/restore")
        return parse_response(self.model, response)

    def upload(self, body: dict[str, Any], file: Path) -> UploadT:
        """Create one and send its file. Return it while it is imported, or after."""
        created = self._create(body)
        self._send_content(created.id, file)
        return self.get(created.id)

    def wait(self, reference: str) -> UploadT:
        """Return it once it is ready.

        Raises DistillProblem, with the importer's reason, if it was refused.
        """
        while (upload := self.get(reference)).status == "importing":
            time.sleep(POLL_SECONDS)
        if upload.status == "ready":
            return upload
        if upload.status == "awaiting_upload":
            detail = f"The file of {upload.name!r} has not been uploaded."
            raise DistillProblem(409, "awaiting_upload", detail)
        problem = upload.problem or {}
        raise DistillProblem(
            422,
            problem.get("code", "refused_upload"),
            problem.get("detail", f"{upload.name!r} was refused."),
        )

    def _item_path(self, reference: str) -> str:
        return f"{self.path}/{quote(reference, safe='')}"

    def _create(self, body: dict[str, Any]) -> UploadT:
        """Create a new one, or return the one that an earlier, interrupted upload has created."""
        try:
            return parse_response(self.model, self.transport.post(self.path, body))
        except DistillProblem as problem:
            if problem.code != "name_taken":
                raise
            existing = self.get(body["name"])
            fields = {**existing.model_dump(), **(existing.description or {})}
            if existing.status != "awaiting_upload" or not _includes(fields, body):
                raise
            return existing

    def _send_content(self, item_id: str, file: Path) -> None:
        """Send a file, from its beginning whenever the connection breaks.

        Raises DistillProblem or Unreachable.
        """
        backoff = self.transport.backoff()
        while True:
            try:
                response = self._put(item_id, file)
            except httpx2.TransportError as error:
                if not is_transient(error) or not backoff.wait():
                    raise self.transport.unreachable(error) from error
                # The whole file may have arrived, and only the response have been lost.
                if self.get(item_id).status != "awaiting_upload":
                    return
                continue
            if not is_busy(response) or not backoff.wait(retry_after(response)):
                require_success(response)
                return

    def _put(self, item_id: str, file: Path) -> httpx2.Response:
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Length": str(file.stat().st_size),
        }
        timeout = httpx2.Timeout(self.transport.timeout, read=STORE_SECONDS)
        with file.open("rb") as content:
            return self.transport.http.put(
                f"{self._item_path(item_id)}/content",
                content=content,
                headers=headers,
                timeout=timeout,
            )


def _includes(fields: Any, expected: Any) -> bool:
    """Return whether every expected field, at any depth, has the expected value."""
    if isinstance(fields, dict) and isinstance(expected, dict):
        return all(_includes(fields.get(key), value) for key, value in expected.items())
    return bool(fields == expected)
