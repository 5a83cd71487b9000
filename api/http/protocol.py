"""HTTP/1.1 as uvicorn speaks it, with an end to how long and how large a request's head may be.

A head that is too large but comes to an end is marked, and refused by the application like any other request; one that has
no end is cut off here.
"""

import json
from asyncio import BaseTransport, TimerHandle
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

MAX_HEAD_BYTES = 32 * 1024
MAX_HEADERS = 100
MAX_HEAD_SECONDS = 10.0
"""From the connection, or the first byte of a further request, to the end of its headers."""


class BoundedProtocol(HttpToolsProtocol):
    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._in_head = True
        self._head_bytes = 0
        self._patience: TimerHandle | None = None

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_is_over()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        was_in_head = self._in_head
        super().data_received(data)
        # The parser keeps a header to itself until it is whole: one without an end is seen only here.
        if was_in_head and self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._cut_off(431, "head_too_large", "The request's head is too large.")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._head_bytes = True, 0
        self._wait_for_head()

    def on_url(self, url: bytes) -> None:
        super().on_url(url if self._fits(len(url)) else url[: max(0, MAX_HEAD_BYTES - len(self.url))])

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._fits(len(name) + len(value)) and len(self.headers) < MAX_HEADERS:
            super().on_header(name, value)
        else:
            self.scope["state"]["head_too_large"] = True

    def on_headers_complete(self) -> None:
        self._head_is_over()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        self._cut_off(400, "malformed_request", msg)

    def _fits(self, size: int) -> bool:
        self._head_bytes += size
        if self._head_bytes > MAX_HEAD_BYTES:
            self.scope["state"]["head_too_large"] = True
        return self._head_bytes <= MAX_HEAD_BYTES

    def _wait_for_head(self) -> None:
        if self._patience is None:
            self._patience = self.loop.call_later(MAX_HEAD_SECONDS, self._too_slow)

    def _head_is_over(self) -> None:
        self._in_head = False
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _too_slow(self) -> None:
        self._cut_off(
            408,
            "request_timeout",
            f"The request's head did not arrive within {MAX_HEAD_SECONDS:.0f} s.",
        )

    def _cut_off(self, status: int, code: str, detail: str) -> None:
        """A problem document, and the end of the connection; not while another request of it is being answered."""
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
            head = b"content-type: application/problem+json\r\nx-content-type-options: nosniff\r\nconnection: close\r\n"
            self.transport.write(
                STATUS_LINE[status] + head + b"content-length: %d\r\n\r\n" % len(body) + body
            )
        self.transport.close()
