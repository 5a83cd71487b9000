"""A small reverse proxy that serves another server under a path, as nginx would."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx2

NOT_PASSED_ON = {"connection", "transfer-encoding", "date", "server"}


class ReverseProxy(ThreadingHTTPServer):
    """Answers what is outside of ``path`` with a 502. ``strips``: removes it from requests."""

    daemon_threads = True
    request_queue_size = 128  # a page sends many requests at once

    def __init__(self, upstream: str, path: str, strips: bool) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.path = path
        self.strips = strips
        # A stream may be silent for 15 s.
        self.client = httpx2.Client(
            base_url=upstream, follow_redirects=False, trust_env=False, timeout=60
        )


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ReverseProxy

    def forward(self) -> None:
        root = self.server.path
        if self.path != root and not self.path.startswith((f"{root}/", f"{root}?")):
            self.send_error(502, "outside of the proxy's path")
            return
        target = self.path.removeprefix(root) or "/" if self.server.strips else self.path
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        # Browsers close streams, and the server ends under open ones.
        with (
            suppress(ConnectionError, httpx2.TransportError),
            self.server.client.stream(
                self.command, target, headers=list(self.headers.items()), content=body
            ) as response,
        ):
            self.send_response(response.status_code)
            for name, value in response.headers.multi_items():
                if name.lower() not in NOT_PASSED_ON:
                    self.send_header(name, value)
            self.send_header("Connection", "close")
            self.end_headers()
            for chunk in response.iter_raw():
                self.wfile.write(chunk)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = forward

    def log_message(self, format: str, *arguments: object) -> None:
        """Print nothing."""


@contextmanager
def reverse_proxy(upstream: str, path: str, *, strips: bool) -> Iterator[str]:
    """Yield the address under which ``upstream`` is reached while the context is open."""
    server = ReverseProxy(upstream, path, strips)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}{path}"
    finally:
        server.shutdown()
        server.server_close()
        server.client.close()
