"""uvicorn's HTTP/1.1 protocol, with bounds on the size and duration of a request's head.

A head that is too large but ends is marked, and refused by the application like any other request;
one that does not end is cut off here.
"""

import json
from asyncio import BaseTransport, TimerHandle
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

MAX_HEAD_BYTES = 32 * 1024
MAX_HEADERS = 100
MAX_HEAD_SECONDS = 10.0
"""From the connection, or the first byte of a further request, to the end of its headers."""
_CUT_OFF_HEADERS = (
    b"content-type: application/problem+json\r\n"
    b"x-content-type-options: nosniff\r\n"
    b"connection: close\r\n"
)


class BoundedProtocol(HttpToolsProtocol):
    """The state of one connection, which carries one request after the other."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._in_head = True
        self._head_bytes = 0
        self._head_timer: TimerHandle | None = None

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        self._start_head_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_head()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        was_in_head = self._in_head
        super().data_received(data)
        # The parser buffers a header until it is complete: one without an end only shows here.
        if was_in_head and self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._cut_off(431, "head_too_large", "The request's head is too large.")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        self._head_bytes = 0
        self._start_head_timer()

    def on_url(self, url: bytes) -> None:
        if not self._count(len(url)):
            url = url[: max(0, MAX_HEAD_BYTES - len(self.url))]
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._count(len(name) + len(value)) and len(self.headers) < MAX_HEADERS:
            super().on_header(name, value)
        else:
            self.scope["state"]["head_too_large"] = True

    def on_headers_complete(self) -> None:
        self._end_head()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        self._cut_off(400, "malformed_request", msg)

    def _count(self, size: int) -> bool:
        """Count bytes of the head; False where it is too large, which also marks the request."""
        self._head_bytes += size
        if self._head_bytes > MAX_HEAD_BYTES:
            self.scope["state"]["head_too_large"] = True
        return self._head_bytes <= MAX_HEAD_BYTES

    def _start_head_timer(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(MAX_HEAD_SECONDS, self._on_head_timeout)

    def _end_head(self) -> None:
        self._in_head = False
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _on_head_timeout(self) -> None:
        self._cut_off(
            408,
            "request_timeout",
            f"The request's head did not arrive within {MAX_HEAD_SECONDS:.0f} s.",
        )

    def _cut_off(self, status: int, code: str, detail: str) -> None:
        """Send a problem document and close the connection.

        While an earlier request of the connection is being answered, only close it: a second
        response in the middle of the first would corrupt it.
        """
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete:
            title = STATUS_LINE[status].split(b" ", 2)[2].decode().strip()
            problem = {
                "type": f"urn:distill:problem:{code}",
                "title": title,
                "status": status,
                "detail": detail,
                "code": code,
            }
            body = json.dumps(problem).encode()
            content_length = b"content-length: %d\r\n\r\n" % len(body)
            self.transport.write(STATUS_LINE[status] + _CUT_OFF_HEADERS + content_length + body)
        self.transport.close()
