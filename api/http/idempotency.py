"""Idempotency-Key: a POST that is sent twice is carried out once, and its answer is given again."""

import hashlib
import json
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Header, Request, Response
from pydantic import BaseModel
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from api.http import audit_trail
from core.store import audit, idempotency
from core.store.database.engine import write_session

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        pattern=r"^[!-~]+$",
        description="Any text of yours, new for each new request: the same request under the same key is carried out once.",
    ),
]
Made = TypeVar("Made", bound=BaseModel)


class Once:
    """One POST. The work, its key, its answer and its line of the audit log are one transaction: a crash leaves all or none."""

    def __init__(
        self, engine: Engine, key_id: str, key: str | None, fingerprint: str, facts: dict[str, Any]
    ) -> None:
        """``facts``: who asks for what, for the audit log."""
        self.engine, self.key_id, self.key, self.fingerprint, self.facts = (
            engine,
            key_id,
            key,
            fingerprint,
            facts,
        )
        self._afterwards: list[Callable[[], object]] = []

    def afterwards(self, action: Callable[[], object]) -> None:
        """Done after the commit, and only by the request that did the work."""
        self._afterwards.append(action)

    def carry_out(
        self,
        act: Callable[[Session], tuple[int, Made]],
        *,
        location: str | None = None,
        keep: Callable[[Made], Made] | None = None,
    ) -> Response:
        """The answer of ``act``, now or when it was first asked for.

        ``location``: such as "/v1/jobs/{id}", filled from the answer. ``keep``: what of the answer may be stored.
        """
        with write_session(self.engine) as session:
            if self.key is not None:
                stored = idempotency.reserve(session, self.key_id, self.key, self.fingerprint)
                if stored is not None:
                    return _json(stored.status, stored.body, location, replayed=True)
            status, answer = act(session)
            audit.record(session, **self.facts, status=status, target=getattr(answer, "id", None))
            if self.key is not None:
                idempotency.save_response(
                    session, self.key_id, self.key, status, _text(keep(answer) if keep else answer)
                )
        for action in self._afterwards:
            action()
        return _json(status, _text(answer), location)


async def _once(request: Request, idempotency_key: IdempotencyKey = None) -> Once:
    sent = f"{request.method} {request.scope['path']}?{request.scope['query_string']!r} {getattr(request.state, 'body_sha256', '')}"
    fingerprint = hashlib.sha256(sent.encode(errors="surrogatepass")).hexdigest()
    request.state.once = True
    key_id = request.state.principal.key_id
    return Once(
        request.app.state.engine, key_id, idempotency_key, fingerprint, audit_trail.audit_values(request)
    )


OnceOnly = Annotated[Once, Depends(_once)]


def _text(answer: BaseModel) -> str:
    return answer.model_dump_json(by_alias=True)


def _json(status: int, body: str, location: str | None, *, replayed: bool = False) -> Response:
    response = Response(body, status, media_type="application/json")
    if location is not None:
        response.headers["Location"] = location.format(**json.loads(body))
    if replayed:
        response.headers["Idempotency-Replayed"] = "true"
    return response
