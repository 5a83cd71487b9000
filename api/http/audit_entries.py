"""What a request writes to the audit log: an entry per change, few for many equal refusals."""

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, TypedDict

import structlog
from fastapi import Request
from sqlalchemy import Engine

from api.http.rate_limits import TokenBuckets
from api.http.telemetry import METHODS
from core.errors import DistillError
from core.logs import redact
from core.store.access import audit
from core.store.database.engine import write_session

WINDOW_SECONDS = 3600.0
MAX_COUNTED_REFUSALS = 10_000
ENTRIES_PER_SECOND = 1.0
"""Of all refusals together: a caller with many addresses cannot fill the disk either."""
MAX_ENTRIES_AT_ONCE = 300.0
log = structlog.get_logger()


class RefusalCounter:
    """Counts equal refusals, by caller and problem code, to decide which of them get an entry.

    Within an hour these are the 1st, 2nd, 4th, 8th … . Not thread-safe.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._counts: OrderedDict[tuple[str, str], tuple[int, float]] = OrderedDict()
        self._entries = TokenBuckets(ENTRIES_PER_SECOND, MAX_ENTRIES_AT_ONCE, clock)

    def count(self, caller: str, code: str) -> int | None:
        """Count one refusal; return how many there were if this one gets an entry, else None."""
        count, since = self._counts.get((caller, code), (0, self.clock()))
        if self.clock() - since > WINDOW_SECONDS:
            count = 0
            since = self.clock()
        count += 1
        self._counts[caller, code] = (count, since)
        self._counts.move_to_end((caller, code))
        if len(self._counts) > MAX_COUNTED_REFUSALS:
            self._counts.popitem(last=False)
        is_power_of_two = count & (count - 1) == 0
        return count if is_power_of_two and self._entries.take("everyone") else None


class AuditValues(TypedDict):
    """Arguments of ``audit.record`` that are known before a request is handled."""

    action: str
    project_id: str | None
    key_id: str | None
    address: str
    request_id: str


def audit_values(request: Request) -> AuditValues:
    """Say who asks for what, as far as it is known by now."""
    principal = getattr(request.state, "principal", None)
    method = request.method if request.method in METHODS else "other"
    return {
        "action": f"{method} {route_path(request)}",
        "project_id": principal and principal.project_id,
        "key_id": principal and principal.key_id,
        "address": client_address(request),
        "request_id": request.state.request_id,
    }


def route_path(request: Request) -> str:
    """Return the path template of the route, such as ``/v1/jobs/{job_id}``.

    The number of metric labels must not grow with the paths that callers make up.
    """
    return getattr(request.scope.get("route"), "path", "(none)")


def client_address(request: Request) -> str:
    """Return the caller's IP address; for IPv6 its /64 network, which one caller has to itself."""
    host = request.client.host if request.client is not None else "unknown"
    try:
        version = ipaddress.ip_address(host).version
    except ValueError:
        return host[:64]
    if version == 4:
        return host
    without_zone = host.partition("%")[0]
    return str(ipaddress.ip_network((without_zone, 64), strict=False))


def request_target(request: Request) -> str:
    """Return the first path parameter, or the path where it has none."""
    return redact(next(iter(request.path_params.values()), request.scope["path"]))


def record_entry(engine: Engine, **values: Any) -> None:
    """Write one entry in a transaction of its own; a failure to do so only goes to the log."""
    try:
        with write_session(engine) as session:
            audit.record(session, **values)
    except DistillError as error:
        log.error(  # noqa: TRY400 - the message says it all
            "an audit log entry could not be written", error=str(error), **values
        )
