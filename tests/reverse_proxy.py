"""A small reverse proxy that serves another server under a path, as nginx would."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx2

NOT_PASSED_ON = {"connection", "content-length", "transfer-encoding", "date", "server"}


@contextmanager
def reverse_proxy(upstream: str, path: str, *, strips: bool) -> Iterator[str]:
    """Yield the address under which ``upstream`` is reached.

    ``strips``: whether the proxy removes its path from those of requests. Everything outside of the
    path is answered with a 502.
    """
    client = httpx2.Client(base_url=upstream, follow_redirects=False, trust_env=False)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def forward(self) -> None:
            if not (self.path == path or self.path.startswith((f"{path}/", f"{path}?"))):
                self.send_error(502, "outside of the proxy's path")
                return
            target = self.path.removeprefix(path) or "/" if strips else self.path
            length = int(self.headers.get("Content-Length", 0))
            headers = [(name, value) for name, value in self.headers.items()]
            with client.stream(
                self.command, target, headers=headers, content=self.rfile.read(length)
            ) as response:
                body = b"".join(response.iter_raw())
            self.send_response(response.status_code)
            for name, value in response.headers.multi_items():
                if name.lower() not in NOT_PASSED_ON:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = forward

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}{path}"
    finally:
        server.shutdown()
        server.server_close()
        client.close()
