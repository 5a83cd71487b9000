"""Idempotency-Key: a POST that is sent twice is carried out once, and its answer is given again."""

import hashlib
import json
from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, Header, Request, Response
from pydantic import BaseModel
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from core.store import idempotency
from core.store.engine import writing

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
Act = Callable[[Session], tuple[int, BaseModel]]


class Once:
    """One POST. The work, its key and its answer are one transaction: a crash leaves all of them or none."""

    def __init__(self, engine: Engine, key_id: str, key: str | None, fingerprint: str) -> None:
        self.engine, self.key_id, self.key, self.fingerprint = engine, key_id, key, fingerprint
        self._afterwards: list[Callable[[], object]] = []

    def afterwards(self, action: Callable[[], object]) -> None:
        """Done after the commit, and only by the request that did the work."""
        self._afterwards.append(action)

    def carry_out(
        self, act: Act, *, location: str | None = None, keep: Callable[[BaseModel], BaseModel] | None = None
    ) -> Response:
        """The answer of ``act``, now or when it was first asked for.

        ``location``: such as "/v1/jobs/{id}", filled from the answer. ``keep``: what of the answer may be stored.
        """
        with writing(self.engine) as session:
            if self.key is not None:
                stored = idempotency.begin(session, self.key_id, self.key, self.fingerprint)
                if stored is not None:
                    return _json(stored.status, stored.body, location, replayed=True)
            status, answer = act(session)
            if self.key is not None:
                idempotency.finish(session, self.key_id, self.key, status, _text(keep(answer) if keep else answer))
        for action in self._afterwards:
            action()
        return _json(status, _text(answer), location)


async def _once(request: Request, idempotency_key: IdempotencyKey = None) -> Once:
    sent = f"{request.method} {request.url.path}?{request.url.query} {getattr(request.state, 'body_sha256', '')}"
    fingerprint = hashlib.sha256(sent.encode(errors="surrogatepass")).hexdigest()
    return Once(request.app.state.engine, request.state.principal.key_id, idempotency_key, fingerprint)


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
