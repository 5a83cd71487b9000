"""An HTTP proxy between a process and its S3 server: it forwards requests, or injects faults."""

import http.client
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

Fault = int | Literal["reset"] | None
"""A status to answer with instead of the server's; a reset of the connection; None: no fault."""
Rule = Callable[[str, str], Fault]
"""(method, path with query) -> the fault to inject. The request waits until the rule returns."""


def forward_all(method: str, path: str) -> Fault:
    return None


class S3Proxy:
    """``requests``: method and path of every request, in order."""

    def __init__(self, server_port: int) -> None:
        self.server_port = server_port
        self.rule: Rule = forward_all
        self.requests: list[tuple[str, str]] = []
        self.http_server = ProxyServer(self)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http_server.server_address[1]}"

    def requested_paths(self, method: str, part: str) -> list[str]:
        """Return the paths that contain ``part``, of the requests with this method."""
        return [path for used, path in self.requests if used == method and part in path]


class ProxyServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, proxy: S3Proxy) -> None:
        self.proxy = proxy
        super().__init__(("127.0.0.1", 0), ProxyHandler)

    def handle_error(self, *_: object) -> None:
        """Print nothing: the client was killed, or its connection was reset on purpose."""


class ProxyHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ProxyServer

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        proxy = self.server.proxy
        proxy.requests.append((self.command, self.path))
        fault = proxy.rule(self.command, self.path)
        if fault is None:
            fault = self.forward(body)
        if fault == "reset":
            self.reset()
        elif isinstance(fault, int):
            self.send_response(fault)
            self.send_header("Content-Length", "0")
            self.end_headers()

    def forward(self, body: bytes) -> Fault:
        """Forward the request and its response. A server that breaks off means a reset."""
        try:
            server, response, content = self.request_server(body)
        except (OSError, http.client.HTTPException):
            return "reset"
        self.send_response_only(response.status, response.reason)
        for name, value in response.getheaders():
            if name.lower() not in {"connection", "transfer-encoding", "content-length"}:
                self.send_header(name, value)
        length = str(len(content))
        if self.command == "HEAD":
            length = response.headers.get("Content-Length", "0")
        self.send_header("Content-Length", length)
        self.end_headers()
        self.wfile.write(content)
        server.close()
        return None

    def request_server(
        self, body: bytes
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse, bytes]:
        """Send the request unchanged, with its ``Host``: the signature covers it."""
        port = self.server.proxy.server_port
        server = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        server.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            server.putheader(name, value)
        server.endheaders(body)
        response = server.getresponse()
        return server, response, response.read()

    def reset(self) -> None:
        self.close_connection = True
        no_linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, no_linger)
        os.close(self.connection.detach())

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_any

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def run_s3_proxy(server_port: int) -> Iterator[S3Proxy]:
    """Run a proxy in front of the S3 server at this port of 127.0.0.1."""
    proxy = S3Proxy(server_port)
    server = proxy.http_server
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
