"""Around every request: its id, security headers, metrics, audit entry, and unexpected errors."""

import re
import time
from functools import partial

import structlog
from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http import audit_entries, problems
from api.http.allowed_origins import AllowedOrigins
from api.http.audit_entries import RefusalCounter, route_path
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
log = structlog.get_logger()


class RequestMiddleware:
    """ASGI middleware: the outermost code that is the service's own."""

    def __init__(self, app: ASGIApp, telemetry: Telemetry, origins: AllowedOrigins) -> None:
        self.app = app
        self.telemetry = telemetry
        self.origins = origins
        self.refusals = RefusalCounter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope, receive)
        request_id = request.headers.get("x-request-id", "")
        request.state.request_id = request_id if REQUEST_ID.fullmatch(request_id) else new_id("req")
        sender = _ResponseSender(send, request)
        start = time.perf_counter()
        with structlog.contextvars.bound_contextvars(request=request.state.request_id):
            try:
                error = _head_too_large(request) or self.origins.rejection(request)
                app = self.app if error is None else problems.problem_response(request, error)
                await app(scope, receive, sender.send)
            except ClientDisconnect:
                pass  # nobody is left to respond to
            except Exception:
                log.exception("request failed", method=scope["method"], path=scope["path"])
                if not sender.status:
                    await problems.internal_error_response(request)(scope, receive, sender.send)
                else:
                    raise  # half a response is sent: only a closed connection tells the caller
            finally:
                seconds = time.perf_counter() - start
                self.telemetry.observe(scope["method"], route_path(request), sender.status, seconds)
                await self.record_refusal(request, sender.status)

    async def record_refusal(self, request: Request, status: int) -> None:
        """Write a 4xx to the audit log. Changes are written by ``api.http.unit_of_work``."""
        # A form sends a dry run at every pause of typing: what is wrong with it is no attempt.
        is_dry_run = getattr(request.state, "is_dry_run", False)
        if not 400 <= status < 500 or (status == 422 and is_dry_run):
            return
        values = audit_entries.audit_values(request)
        code = getattr(request.state, "problem", None)
        times = self.refusals.count(values["key_id"] or values["address"], code or str(status))
        if times is not None:
            record = partial(
                audit_entries.record_entry,
                request.app.state.engine,
                **values,
                status=status,
                code=code,
                times=times,
                target=audit_entries.request_target(request),
            )
            await run_in_threadpool(record)


class RootPathMiddleware:
    """ASGI middleware: removes the root path from a request's path, unless the proxy has.

    So everything else sees the paths of the API alone, whichever way the proxy works.
    """

    def __init__(self, app: ASGIApp, root_path: str) -> None:
        self.app = app
        self.root_path = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope.get("path", "")
        if path == self.root_path or path.startswith(f"{self.root_path}/"):
            scope = {**scope, "path": path[len(self.root_path) :] or "/"}
        await self.app(scope, receive, send)


class _ResponseSender:
    """Wraps ``send``: remembers the status, and adds the headers that every response has."""

    def __init__(self, send: Send, request: Request) -> None:
        self._send = send
        self.request = request
        self.status = 0
        """0 until the response has begun."""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self._add_headers(MutableHeaders(scope=message))
        await self._send(message)

    def _add_headers(self, headers: MutableHeaders) -> None:
        headers["X-Request-Id"] = self.request.state.request_id
        for name, value in SECURITY_HEADERS.items():
            headers.setdefault(name, value)
        if self.request.scope["scheme"] == "https":
            headers["Strict-Transport-Security"] = "max-age=31536000"
        quota: Quota | None = getattr(self.request.state, "quota", None)
        if quota is not None:
            headers.update(quota.headers())
        # With an ETag a copy may be stored, as long as it is revalidated before every use.
        headers.setdefault(
            "Cache-Control", "private, no-cache" if "etag" in headers else "no-store"
        )


def _head_too_large(request: Request) -> DistillError | None:
    """Return the error for a request that ``api.http.protocol`` has marked."""
    if not getattr(request.state, "head_too_large", False):
        return None
    return HeadTooLarge(
        "The address and the headers of a request are limited to 32 kB and 100 headers."
    )
