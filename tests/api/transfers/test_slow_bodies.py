"""Bodies that arrive too slowly."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.requests import Request

from api.http import json_body
from api.http.problems import RequestTimeout
from api.transfers import uploads
from core.settings import Settings


def request(*pauses: float, size: int = 10) -> Request:
    """One whose body has a chunk of ``size`` bytes after each pause, in seconds."""
    remaining = list(pauses)

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(remaining.pop(0))
        return {
            "type": "http.request",
            "body": b"[" + b" " * (size - 1),
            "more_body": bool(remaining),
        }

    app = SimpleNamespace(state=SimpleNamespace(settings=Settings()))
    return Request({"type": "http", "method": "POST", "headers": [], "app": app}, receive)


async def read_all(slow: Request) -> int:
    return sum([len(chunk) async for chunk in uploads._chunks(slow)])


def test_json_body_that_does_not_arrive_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_body, "BODY_SECONDS", 0.2)
    with pytest.raises(RequestTimeout, match="did not arrive"):
        asyncio.run(json_body.read_json(request(*[0.06] * 9)))


def test_stalled_upload_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "STALL_SECONDS", 0.1)
    with pytest.raises(RequestTimeout, match="Nothing arrived"):
        asyncio.run(read_all(request(0, 5)))


def test_trickling_upload_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "STALL_SECONDS", 0.1)
    with pytest.raises(RequestTimeout, match="slower than"):
        asyncio.run(read_all(request(*[0.03] * 100)))


def test_slow_upload_does_not_time_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "STALL_SECONDS", 0.1)
    assert asyncio.run(read_all(request(*[0.03] * 20, size=2000))) == 40_000
