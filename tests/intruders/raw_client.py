"""HTTP requests that no client library would send."""

import json
import socket
from contextlib import suppress
from dataclasses import dataclass, field

from tests.api.conftest import KEY


@dataclass
class RawResponse:
    """A response as it was received. Header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes = b""

    @property
    def code(self) -> str:
        """Return the code of the problem document."""
        return str(json.loads(self.body)["code"])


@dataclass
class RawClient:
    """Sends exactly the bytes it is given, over one connection to the service.

    It reconnects when the service has closed the connection.
    """

    port: int
    key: str | None = KEY
    _socket: socket.socket | None = field(default=None, repr=False)

    def request(
        self,
        method: str,
        target: str | bytes,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
    ) -> RawResponse:
        """Send a request with Host, key and length; ``headers`` add to these or replace them."""
        target = target.encode("latin-1") if isinstance(target, str) else target
        lines = {"Host": f"127.0.0.1:{self.port}"}
        if self.key:
            lines["Authorization"] = f"Bearer {self.key}"
        lines |= headers or {}
        if body:
            lines["Content-Length"] = str(len(body))
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items()).encode("latin-1")
        return self.send(
            method.encode() + b" " + target + b" HTTP/1.1\r\n" + head + b"\r\n" + body,
            head_only=method == "HEAD",
        )

    def send(self, data: bytes, *, head_only: bool = False) -> RawResponse:
        """Send the bytes, once more if the connection was closed, and read one response."""
        for last_try in (False, True):
            try:
                # The service may refuse a request, and close, before all of it has been sent.
                with suppress(BrokenPipeError, ConnectionResetError):
                    self._connect().sendall(data)
                return self._read_response(head_only)
            except ConnectionError:
                self.close()
                if last_try:
                    raise
        raise AssertionError

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _connect(self) -> socket.socket:
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        return self._socket

    def _read_response(self, head_only: bool) -> RawResponse:
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._receive()
        head, _, rest = data.partition(b"\r\n\r\n")
        status_line, *lines = head.decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines)
        }
        body = b"" if head_only else self._read_body(headers, rest)
        if headers.get("connection") == "close":
            self.close()
        return RawResponse(int(status_line.split()[1]), headers, body)

    def _read_body(self, headers: dict[str, str], data: bytes) -> bytes:
        if headers.get("transfer-encoding") == "chunked":
            while not data.endswith(b"0\r\n\r\n"):
                data += self._receive()
            return data
        while len(data) < int(headers.get("content-length", 0)):
            data += self._receive()
        return data

    def _receive(self) -> bytes:
        assert self._socket is not None
        data = self._socket.recv(65536)
        if not data:
            raise ConnectionResetError("the service closed the connection")
        return data
