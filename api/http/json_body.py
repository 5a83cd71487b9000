"""Request bodies: read once, completely and within bounds, as strict JSON."""

import hashlib
import json
import re
from typing import Any

import anyio
from fastapi import Request
from starlette.types import Receive, Scope

from api.http.problems import RequestTimeout, UnsupportedMediaType
from core.errors import Malformed, TooLarge

JSON_TYPES = ("application/json", "application/merge-patch+json")
BODY_SECONDS = 30.0
MAX_NESTING = 64
MAX_VALUES = 4_000
"""In one body: validation reports every wrong value, which takes time for each."""
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
"""A JSON string, also an unterminated one. The possessive quantifier never backtracks, so that any
input takes a single pass."""


class JsonRequest(Request):
    """A request whose body has been read and parsed."""

    def __init__(self, scope: Scope, receive: Receive, raw: bytes, parsed: Any) -> None:
        super().__init__(scope, receive)
        self.raw = raw
        self.parsed = parsed

    async def body(self) -> bytes:
        return self.raw

    async def json(self) -> Any:
        return self.parsed


async def read_json(request: Request, max_values: int = MAX_VALUES) -> JsonRequest:
    """Read and parse the body; an empty one is None.

    Raises TooLarge, RequestTimeout, UnsupportedMediaType and Malformed.
    """
    raw = await _read_bounded(request, request.app.state.settings.max_body_bytes)
    parsed = None
    if raw:
        _check_media_type(request)
        _check_value_count(raw, max_values)
        parsed = parse_json(raw)
    request.state.body_sha256 = hashlib.sha256(raw).hexdigest()
    return JsonRequest(request.scope, request.receive, raw, parsed)


async def _read_bounded(request: Request, limit: int) -> bytes:
    """``limit`` in bytes, whatever Content-Length declares."""
    declared = request.headers.get("content-length", "0")
    if declared.isdigit() and int(declared[:20]) > limit:
        raise TooLarge(f"The body has {declared[:20]} bytes; at most {limit} are allowed here.")
    raw = bytearray()
    try:
        with anyio.fail_after(BODY_SECONDS):
            async for chunk in request.stream():
                raw += chunk
                if len(raw) > limit:
                    raise TooLarge(f"The body has more than the {limit} bytes allowed here.")
    except TimeoutError as error:
        raise RequestTimeout(f"The body did not arrive within {BODY_SECONDS:.0f} s.") from error
    return bytes(raw)


def _check_media_type(request: Request) -> None:
    content_type = request.headers.get("content-type", "")
    media_type, _, parameters = content_type.partition(";")
    charset = parameters.strip().lower().removeprefix("charset=").strip('"')
    if media_type.strip().lower() not in JSON_TYPES or charset not in {"", "utf-8"}:
        problem = f"is {content_type[:100]!r}" if content_type else "is missing"
        raise UnsupportedMediaType(
            f"The body must be application/json in UTF-8; the Content-Type header {problem}."
        )


def parse_json(raw: bytes) -> Any:
    """Parse strict JSON: no NaN, no Infinity, a bounded depth. Raises Malformed."""
    try:
        # Editors on Windows begin a text with a byte order mark; RFC 8259 allows to ignore it.
        parsed = json.loads(raw.decode("utf-8-sig"), parse_constant=_refuse_constant)
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
        raise Malformed(
            "The body contains a number with too many digits.", code="malformed_json"
        ) from error
    if _depth_exceeds(parsed, MAX_NESTING):
        raise Malformed(
            f"The JSON is nested more than {MAX_NESTING} levels deep.", code="nested_too_deeply"
        )
    return parsed


def _refuse_constant(name: str) -> Any:
    raise Malformed(f"{name} is not JSON.", code="malformed_json")


def _check_value_count(raw: bytes, limit: int) -> None:
    """Count separators outside of strings, before parsing makes an object of each value.

    Raises TooLarge.
    """
    separators = _STRING.sub(b"", raw)
    values = 1 + sum(map(separators.count, (b",", b":", b"[", b"{")))
    if values > limit:
        raise TooLarge(f"The body has about {values} values; at most {limit} are allowed here.")


def _depth_exceeds(value: Any, limit: int) -> bool:
    """Level by level: a recursive walk would itself run out of stack."""
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
