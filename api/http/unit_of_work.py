"""The unit of work: every request that changes something does so in one transaction made here.

It holds the change, its entry in the audit log and, under an Idempotency-Key, the response to give
again to a copy of the request. Workers are woken after the commit.
"""

import hashlib
import json
from collections.abc import Callable
from typing import Annotated, TypeVar

from fastapi import Header, Request, Response
from pydantic import BaseModel
from sqlalchemy.orm import Session

from api.http import audit_entries
from api.representation.json_response import to_json
from core import queue
from core.store.access import audit, idempotency
from core.store.database.engine import write_session

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        pattern=r"^[!-~]+$",
        description="Any text, new for each new request: a request that is repeated under the "
        "same key is carried out once, and gets the first response again.",
    ),
]
Result = TypeVar("Result", bound=BaseModel)


class UnitOfWork:
    """One writing request. A crash leaves all of its transaction or nothing."""

    def __init__(self, request: Request, idempotency_key: str | None = None) -> None:
        self._engine = request.app.state.engine
        self._settings = request.app.state.settings
        self._key_id: str = request.state.principal.key_id
        self._idempotency_key = idempotency_key
        self._fingerprint = _fingerprint(request)
        self._audit_values = audit_entries.audit_values(request)
        # A POST is filed under the id in its response, any other method under the reference in
        # its path, as the caller wrote it.
        self._path_target = (
            None if request.method == "POST" else audit_entries.request_target(request)
        )
        self._queued_job_ids: list[str] = []

    def wake_workers(self, job_id: str) -> None:
        """Send the wake-up for a job queued in this transaction, once it is committed."""
        self._queued_job_ids.append(job_id)

    def commit(
        self,
        change: Callable[[Session], tuple[int, Result]],
        *,
        location: str | None = None,
        target: str | None = None,
        redact: Callable[[Result], Result] | None = None,
    ) -> Response:
        """Carry out ``change``, which returns status and body, or replay its first response.

        ``location``: template of the Location header below the root path, such as
        "/v1/jobs/{id}", filled from the body. ``target``: what the audit entry names instead of the
        path's reference or the body's id. ``redact``: returns the body as it may be stored for
        replays.
        """
        if location is not None:
            location = self._settings.root_path + location
        with write_session(self._engine) as session:
            replay = self._first_response(session)
            if replay is not None:
                return _json_response(replay.status, replay.body, location, replayed=True)
            status, result = change(session)
            target = target or self._path_target or getattr(result, "id", None)
            audit.record(session, **self._audit_values, status=status, target=target)
            if self._idempotency_key is not None:
                stored = redact(result) if redact is not None else result
                idempotency.save_response(
                    session, self._key_id, self._idempotency_key, status, to_json(stored)
                )
        # Only now: a worker woken before the commit would find no job.
        for job_id in self._queued_job_ids:
            queue.wake_workers(self._settings, job_id)
        return _json_response(status, to_json(result), location)

    def _first_response(self, session: Session) -> idempotency.SavedResponse | None:
        if self._idempotency_key is None:
            return None
        return idempotency.reserve(session, self._key_id, self._idempotency_key, self._fingerprint)


def _fingerprint(request: Request) -> str:
    """Return a hash of method, path, query string and body: equal for copies of one request."""
    parts = (
        f"{request.method} {request.scope['path']}?{request.scope['query_string']!r} "
        f"{getattr(request.state, 'body_sha256', '')}"
    )
    return hashlib.sha256(parts.encode(errors="surrogatepass")).hexdigest()


def _json_response(
    status: int, body: str, location: str | None, *, replayed: bool = False
) -> Response:
    response = Response(body, status, media_type="application/json")
    if location is not None:
        response.headers["Location"] = location.format(**json.loads(body))
    if replayed:
        response.headers["Idempotency-Replayed"] = "true"
    return response
