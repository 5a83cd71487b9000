"""Around every request: its id, the security headers, the counters, and the answer to what nobody foresaw."""

import re
import time
from typing import Any

import structlog
from fastapi import Request
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import problems
from api.telemetry import Telemetry
from core.store.ids import new_id

REQUEST_ID = re.compile(r"[A-Za-z0-9_.-]{1,128}")
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
log = structlog.get_logger()


class Envelope:
    def __init__(self, app: ASGIApp, telemetry: Telemetry) -> None:
        self.app, self.telemetry = app, telemetry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope, receive)
        given = request.headers.get("x-request-id", "")
        request.state.request_id = given if REQUEST_ID.fullmatch(given) else new_id("req")
        answer = _Answer(send, request.state.request_id)
        began = time.perf_counter()
        with structlog.contextvars.bound_contextvars(request=request.state.request_id):
            try:
                await self.app(scope, receive, answer.send)
            except ClientDisconnect:
                pass  # nobody is left to be answered
            except Exception:
                log.exception("request failed", method=scope["method"], path=scope["path"])
                if not answer.status:
                    await problems.unexpected(request)(scope, receive, answer.send)
                else:
                    raise  # half an answer is out: only cutting the connection tells the caller
            finally:
                self.telemetry.observe(scope["method"], _template(scope), answer.status, time.perf_counter() - began)


class _Answer:
    def __init__(self, send: Send, request_id: str) -> None:
        self._send, self.request_id = send, request_id
        self.status = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["X-Request-Id"] = self.request_id
            for name, value in SECURITY_HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("Cache-Control", "private, no-cache" if "etag" in headers else "no-store")
        await self._send(message)


def _template(scope: Scope) -> str:
    """The route's path with its parameters unfilled: a label must not grow with what callers ask for."""
    route: Any = scope.get("route")
    return getattr(route, "path", "(none)")
