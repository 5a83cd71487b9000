"""Around every request: its id, the security headers, the counters, and the answer to what nobody foresaw."""

import re
import time
from functools import partial

import structlog
from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http import audit_trail, problems
from api.http.allowed_origins import AllowedOrigins
from api.http.audit_trail import RefusalCounter, route_path
from api.http.problems import HeadTooLarge
from api.http.rate_limits import Quota
from api.http.telemetry import Telemetry
from core.errors import DistillError
from core.store.database.ids import new_id

REQUEST_ID = re.compile(r"[A-Za-z0-9_.-]{1,128}")
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
CHANGING = ("PUT", "PATCH", "DELETE")
"""Every POST that changes something goes through ``api.http.idempotency``, and leaves its line there."""
log = structlog.get_logger()


class RequestMiddleware:
    def __init__(self, app: ASGIApp, telemetry: Telemetry, origins: AllowedOrigins) -> None:
        self.app, self.telemetry, self.origins = app, telemetry, origins
        self.refusals = RefusalCounter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope, receive)
        given = request.headers.get("x-request-id", "")
        request.state.request_id = given if REQUEST_ID.fullmatch(given) else new_id("req")
        answer = _Answer(send, request)
        began = time.perf_counter()
        with structlog.contextvars.bound_contextvars(request=request.state.request_id):
            try:
                refusal = _too_large(request) or self.origins.rejection(request)
                app = self.app if refusal is None else problems.problem_response(request, refusal)
                await app(scope, receive, answer.send)
            except ClientDisconnect:
                pass  # nobody is left to be answered
            except Exception:
                log.exception("request failed", method=scope["method"], path=scope["path"])
                if not answer.status:
                    await problems.internal_error_response(request)(scope, receive, answer.send)
                else:
                    raise  # half an answer is out: only cutting the connection tells the caller
            finally:
                self.telemetry.observe(
                    scope["method"], route_path(request), answer.status, time.perf_counter() - began
                )
                await self.note(request, answer.status)

    async def note(self, request: Request, status: int) -> None:
        """A refusal, or a change, goes into the audit log, unless its transaction has written it there."""
        line = audit_trail.audit_values(request)
        if 400 <= status < 500:
            code = getattr(request.state, "problem", None)
            times = self.refusals.count(line["key_id"] or line["address"], code or str(status))
            line |= {"code": code, "times": times}
        elif (
            status in range(200, 300)
            and request.method in CHANGING
            and not getattr(request.state, "once", False)
        ):
            times = 1
        else:
            return
        if times is not None:
            line |= {"status": status, "target": audit_trail.request_target(request)}
            await run_in_threadpool(partial(audit_trail.record_line, request.app.state.engine, **line))


class _Answer:
    def __init__(self, send: Send, request: Request) -> None:
        self._send, self.request = send, request
        self.status = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["X-Request-Id"] = self.request.state.request_id
            for name, value in SECURITY_HEADERS.items():
                headers.setdefault(name, value)
            if self.request.scope["scheme"] == "https":
                headers["Strict-Transport-Security"] = "max-age=31536000"
            quota: Quota | None = getattr(self.request.state, "quota", None)
            for name, value in (quota.headers() if quota is not None else {}).items():
                headers[name] = value
            headers.setdefault(
                "Cache-Control", "private, no-cache" if "etag" in headers else "no-store"
            )
        await self._send(message)


def _too_large(request: Request) -> DistillError | None:
    """What ``api.http.protocol`` has marked."""
    if not getattr(request.state, "head_too_large", False):
        return None
    return HeadTooLarge(
        "The address and the headers of a request are at most 32 kB, in at most 100 headers."
    )
