"""The door of every endpoint that needs a key: who it is first, then what was sent, and only then the endpoint.

A caller without a key learns nothing and sends no body; a body is read once, whole and bounded, and is strict JSON.
"""

import hashlib
import json
import re
from collections.abc import Callable, Coroutine
from typing import Any

import anyio
from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.routing import APIRoute
from starlette.types import Receive, Scope

from api.http import audit_trail
from api.http.authentication import authenticate, bearer_token
from api.http.problems import RequestTimeout, UnsupportedMediaType
from core.errors import FieldError, Invalid, Malformed, TooLarge

MAX_NESTING = 64
MAX_VALUES = 4_000
"""In one body: validation tells of each one that is wrong, and takes its time. ``x-most-values`` of an operation is another."""
MAX_PARAMETERS = 100
BODY_SECONDS = 30.0
_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
"""Also one without an end, and without looking back: it takes one pass, whatever is sent."""
JSON_TYPES = ("application/json", "application/merge-patch+json")


class AuthenticatedRoute(APIRoute):
    """``openapi_extra`` may name deepObject parameters (``metadata[key]=value``): these are let through."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        endpoint = super().get_route_handler()
        known = {field.alias for field in self.dependant.query_params}
        extra = (self.openapi_extra or {}).get("parameters", [])
        prefixes = tuple(
            f"{parameter['name']}[" for parameter in extra if parameter.get("style") == "deepObject"
        )
        reads_json = self.body_field is not None
        most_values = (self.openapi_extra or {}).get("x-most-values", MAX_VALUES)

        async def handle(request: Request) -> Response:
            await _admit(request)
            _refuse_unknown_parameters(request, known, prefixes)
            return await endpoint(await _read(request, most_values) if reads_json else request)

        return handle


async def _admit(request: Request) -> None:
    """Raises Unauthenticated and RateLimited."""
    limits, secret = request.app.state.limits, bearer_token(request)
    with limits.guessing(request, audit_trail.client_address(request)):
        principal = await run_in_threadpool(authenticate, request.app.state.engine, secret)
    request.state.principal = principal
    limits.spend(request, principal.key_id)


class ReadRequest(Request):
    """A request whose body has arrived and is known to be strict JSON."""

    def __init__(self, scope: Scope, receive: Receive, raw: bytes, parsed: Any) -> None:
        super().__init__(scope, receive)
        self.raw, self.parsed = raw, parsed

    async def body(self) -> bytes:
        return self.raw

    async def json(self) -> Any:
        return self.parsed


def _refuse_unknown_parameters(
    request: Request, known: set[str], prefixes: tuple[str, ...]
) -> None:
    if len(request.query_params.multi_items()) > MAX_PARAMETERS:
        raise Invalid(
            f"A request has at most {MAX_PARAMETERS} query parameters.", code="too_many_parameters"
        )
    unknown = [
        name for name in request.query_params if name not in known and not name.startswith(prefixes)
    ]
    if unknown:
        choice = f"those that are known: {', '.join(sorted(known))}" if known else "none is known"
        errors = [
            FieldError((name[:100],), f"There is no such query parameter here; {choice}.")
            for name in unknown[:20]
        ]
        raise Invalid(
            f"Unknown query parameter {unknown[0][:100]!r}; {choice}.",
            errors,
            code="unknown_parameter",
        )


async def _read(request: Request, most_values: int = MAX_VALUES) -> ReadRequest:
    limit: int = request.app.state.settings.max_body_bytes
    declared = request.headers.get("content-length", "0")
    if declared.isdigit() and int(declared[:20]) > limit:
        raise TooLarge(f"The body has {declared[:20]} bytes; at most {limit} are read here.")
    raw = bytearray()
    try:
        with anyio.fail_after(BODY_SECONDS):
            async for chunk in request.stream():
                raw += chunk
                if len(raw) > limit:
                    raise TooLarge(f"The body has more than the {limit} bytes that are read here.")
    except TimeoutError as error:
        raise RequestTimeout(f"The body did not arrive within {BODY_SECONDS:.0f} s.") from error
    if raw:
        _check_media_type(request)
        _refuse_many(raw, most_values)
    request.state.body_sha256 = hashlib.sha256(raw).hexdigest()
    return ReadRequest(
        request.scope, request.receive, bytes(raw), parse_json(bytes(raw)) if raw else None
    )


def _check_media_type(request: Request) -> None:
    given = request.headers.get("content-type", "")
    kind, _, parameters = given.partition(";")
    charset = parameters.strip().lower().removeprefix("charset=").strip('"')
    if kind.strip().lower() not in JSON_TYPES or charset not in {"", "utf-8"}:
        shown = repr(given[:100]) if given else "nothing"
        raise UnsupportedMediaType(f"The body must be application/json in UTF-8; Content-Type says {shown}.")


def parse_json(raw: bytes) -> Any:
    """Raises Malformed for what is not JSON by the letter (NaN is not), or nested without end."""
    try:
        parsed = json.loads(raw.decode("utf-8"), parse_constant=_refuse_constant)
    except RecursionError as error:
        raise Malformed("The JSON is nested too deeply.", code="nested_too_deeply") from error
    except json.JSONDecodeError as error:
        raise Malformed(
            f"The body is not JSON: {error.msg} at character {error.pos}.", code="malformed_json"
        ) from error
    except UnicodeDecodeError as error:
        raise Malformed(
            f"The body is not UTF-8 at byte {error.start}.", code="malformed_json"
        ) from error
    except ValueError as error:  # integers of thousands of digits
        raise Malformed("The body has a number that is too long.", code="malformed_json") from error
    if _depth_exceeds(parsed, MAX_NESTING):
        raise Malformed(
            f"The JSON is nested more than {MAX_NESTING} deep.", code="nested_too_deeply"
        )
    return parsed


def _refuse_constant(name: str) -> Any:
    raise Malformed(f"{name} is not JSON.", code="malformed_json")


def _refuse_many(raw: bytes | bytearray, most: int) -> None:
    """By the marks between values, before any of them is made. Raises TooLarge."""
    marks = _TEXT.sub(b"", raw)
    values = 1 + sum(map(marks.count, (b",", b":", b"[", b"{")))
    if values > most:
        raise TooLarge(f"The body has about {values} values; at most {most} are read here.")


def _depth_exceeds(value: Any, limit: int) -> bool:
    level = [value]
    for _ in range(limit + 1):
        level = [
            child
            for item in level
            if isinstance(item, dict | list)
            for child in (item.values() if isinstance(item, dict) else item)
        ]
        if not level:
            return False
    return True
