"""What lies between a process and its S3 server: requests pass unchanged, or a rule says what becomes of them."""

import http.client
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

Fate = int | Literal["cut"] | None
"""The status that is answered instead of the server; a connection that is reset; None: it passes."""
Rule = Callable[[str, str], Fate]
"""(method, path with query) -> what becomes of it. It may take its time: the request waits."""


def passes(method: str, path: str) -> Fate:
    return None


class StoreProxy:
    """``seen``: method and path of every request, in order."""

    def __init__(self, port: int) -> None:
        self.rule: Rule = passes
        self.seen: list[tuple[str, str]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                outer.seen.append((self.command, self.path))
                fate = outer.rule(self.command, self.path)
                if fate is None:
                    fate = self.forward(body)
                if fate == "cut":
                    self.cut()
                elif isinstance(fate, int):
                    self.send_response(fate)
                    self.send_header("Content-Length", "0")
                    self.end_headers()

            def forward(self, body: bytes) -> Fate:
                """Unchanged, ``Host`` too: it is signed. Cut off where the server is."""
                try:
                    server = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
                    server.putrequest(
                        self.command, self.path, skip_host=True, skip_accept_encoding=True
                    )
                    for name, value in self.headers.items():
                        server.putheader(name, value)
                    server.endheaders(body)
                    answer = server.getresponse()
                    content = answer.read()
                except (OSError, http.client.HTTPException):
                    return "cut"
                self.send_response_only(answer.status, answer.reason)
                for name, value in answer.getheaders():
                    if name.lower() not in {"connection", "transfer-encoding", "content-length"}:
                        self.send_header(name, value)
                length = (
                    answer.headers.get("Content-Length", "0")
                    if self.command == "HEAD"
                    else str(len(content))
                )
                self.send_header("Content-Length", length)
                self.end_headers()
                self.wfile.write(content)
                server.close()
                return None

            def cut(self) -> None:
                self.close_connection = True
                self.connection.setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                )
                os.close(self.connection.detach())

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_any

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """Whoever asked was killed, or this was cut."""

        self.server = Server(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def asked(self, method: str, part: str) -> list[str]:
        return [path for it, path in self.seen if it == method and part in path]


@contextmanager
def before(port: int) -> Iterator[StoreProxy]:
    """A proxy before the server at that port of this machine."""
    proxy = StoreProxy(port)
    thread = threading.Thread(target=proxy.server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.server.shutdown()
        proxy.server.server_close()
        thread.join()
