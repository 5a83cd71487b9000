"""What a request leaves in the audit log: a line for each change, and some for many alike refusals."""

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import structlog
from fastapi import Request
from sqlalchemy import Engine

from api.http.rate_limits import TokenBuckets
from api.http.telemetry import METHODS
from core.errors import DistillError
from core.logs import redact
from core.store import audit
from core.store.database.engine import write_session

WINDOW_SECONDS = 3600.0
MAX_COUNTED_REFUSALS = 10_000
LINES_PER_SECOND, MAX_LINES_AT_ONCE = 1.0, 300.0
"""Of all refusals together: whoever has many addresses fills no disk either."""
log = structlog.get_logger()


class RefusalCounter:
    """Of refusals of one caller with one code, within an hour, the 1st, 2nd, 4th, 8th … leave a line. Not for threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._seen: OrderedDict[tuple[str, str], tuple[int, float]] = OrderedDict()
        self._lines = TokenBuckets(LINES_PER_SECOND, MAX_LINES_AT_ONCE, clock)

    def count(self, caller: str, code: str) -> int | None:
        """How many there have been, where this one is to leave a line."""
        times, since = self._seen.get((caller, code), (0, self.clock()))
        if self.clock() - since > WINDOW_SECONDS:
            times, since = 0, self.clock()
        times += 1
        self._seen[caller, code] = (times, since)
        self._seen.move_to_end((caller, code))
        if len(self._seen) > MAX_COUNTED_REFUSALS:
            self._seen.popitem(last=False)
        return times if times & (times - 1) == 0 and self._lines.take("everyone") else None


def audit_values(request: Request) -> dict[str, Any]:
    """Who asked for what, as far as it is known by now: values of ``audit.record``."""
    principal = getattr(request.state, "principal", None)
    return {
        "action": f"{request.method if request.method in METHODS else 'other'} {route_path(request)}",
        "project_id": principal and principal.project_id,
        "key_id": principal and principal.key_id,
        "address": client_address(request),
        "request_id": request.state.request_id,
    }


def route_path(request: Request) -> str:
    """The route's path with its parameters unfilled: labels must not grow with what callers ask for."""
    return getattr(request.scope.get("route"), "path", "(none)")


def client_address(request: Request) -> str:
    """Of IPv6 the first half, which is what one caller has to itself."""
    host = request.client.host if request.client is not None else "unknown"
    try:
        version = ipaddress.ip_address(host).version
    except ValueError:
        return host[:64]
    return (
        host
        if version == 4
        else str(ipaddress.ip_network((host.partition("%")[0], 64), strict=False))
    )


def request_target(request: Request) -> str:
    """What the path names, or else the path."""
    return redact(next(iter(request.path_params.values()), request.scope["path"]))


def record_line(engine: Engine, **line: Any) -> None:
    """A line of its own transaction. What cannot be written is said in the log."""
    try:
        with write_session(engine) as session:
            audit.record(session, **line)
    except DistillError as error:
        log.error("a line of the audit log could not be written", error=str(error), **line)  # noqa: TRY400
