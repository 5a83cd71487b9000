"""A real HTTP server with scripted responses, which records its requests."""

import json
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from distill_client import Distill

CREATED_AT = "2026-01-31T12:34:56.789Z"


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class FakeResponse:
    """A response; with ``cut``, the connection is reset behind ``body``, as by a dying proxy."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False


NO_RESPONSE = FakeResponse(status=0, cut=True)

Script = Callable[[Request], FakeResponse]


class FakeServer:
    """Responds as scripted by ``respond``; any other route is a 404."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.scripts: dict[str, list[FakeResponse | Script]] = {}
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_request(self) -> None:
                fake.handle(self)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_request

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"

    def respond(self, route: str, *responses: FakeResponse | Script) -> None:
        """Script a route such as ``GET /v1/jobs/job_1``: a, then b, then b for ever.

        A script is called with the request to make the response.
        """
        self.scripts[route] = list(responses)

    def requests_to(self, route: str) -> list[Request]:
        return [request for request in self.requests if f"{request.method} {request.path}" == route]

    def handle(self, handler: BaseHTTPRequestHandler) -> None:
        url = urlsplit(handler.path)
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        request = Request(handler.command, url.path, parse_qs(url.query), headers, body)
        self.requests.append(request)
        not_found = problem_response(404, "not_found", f"Nothing at {url.path}.")
        scripts = self.scripts.get(f"{request.method} {request.path}", [not_found])
        script = scripts.pop(0) if len(scripts) > 1 else scripts[0]
        self.send(handler, script if isinstance(script, FakeResponse) else script(request))

    @staticmethod
    def send(handler: BaseHTTPRequestHandler, response: FakeResponse) -> None:
        if response.status:
            handler.send_response(response.status)
            defaults = {"Content-Length": str(len(response.body)), "Connection": "close"}
            for name, value in {**defaults, **response.headers}.items():
                if value:
                    handler.send_header(name, value)
            handler.end_headers()
            handler.wfile.write(response.body)
            handler.wfile.flush()
        handler.close_connection = True
        if response.cut:
            # What was written arrives first; then the connection is reset.
            time.sleep(0.05)
            linger = struct.pack("ii", 1, 0)
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            os.close(handler.connection.detach())


@contextmanager
def run_fake_server() -> Iterator[FakeServer]:
    server = FakeServer()
    thread = threading.Thread(target=server.http.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server
    finally:
        server.http.shutdown()
        server.http.server_close()
        thread.join()


def make_client(server: FakeServer, **changes: Any) -> Distill:
    """Return a client of the server, with short pauses."""
    options = {"backoff_seconds": 0.01, "timeout": 5.0, **changes}
    return Distill(server.url, "dk_secret", **options)


# -- responses


def json_response(value: Any, status: int = 200, **headers: str) -> FakeResponse:
    headers = {"Content-Type": "application/json"} | headers
    return FakeResponse(status, json.dumps(value).encode(), headers)


def page_response(*rows: dict[str, Any], next_cursor: str | None = None) -> FakeResponse:
    """Return one page of a list."""
    has_more = next_cursor is not None
    return json_response({"data": rows, "has_more": has_more, "next_cursor": next_cursor})


def problem_response(
    status: int, code: str, detail: str, errors: Iterable[Any] = (), **headers: str
) -> FakeResponse:
    document = {
        "status": status,
        "code": code,
        "detail": detail,
        "request_id": "req_1",
        "errors": list(errors),
    }
    headers = {"Content-Type": "application/problem+json"} | headers
    return FakeResponse(status, json.dumps(document).encode(), headers)


def event_stream(*messages: dict[str, Any], cut: bool = False) -> FakeResponse:
    """Return a stream of events, whose id is their number, and of jobs, which have none."""
    text = "retry: 1000\n\n: still here\n\n"
    for message in messages:
        if "seq" in message:
            text += f"id: {message['seq']}\nevent: {message['type']}\n"
        else:
            text += "event: job\n"
        text += f"data: {json.dumps(message)}\n\n"
    headers = {"Content-Type": "text/event-stream", "Content-Length": ""}
    return FakeResponse(200, text.encode(), headers, cut=cut)


# -- bodies


def job(status: str = "running", **changes: Any) -> dict[str, Any]:
    return {
        "id": "job_1",
        "kind": "distillation",
        "status": status,
        "terminal": status in {"succeeded", "failed", "cancelled"},
        "created_at": CREATED_AT,
        **changes,
    }


def event(seq: int, type: str = "note", **data: Any) -> dict[str, Any]:
    return {"seq": seq, "type": type, "at": CREATED_AT, "attempt": 1, "data": data}


def final_event(seq: int, status: str = "succeeded") -> dict[str, Any]:
    """Return the event that ends a job."""
    return event(seq, "status", **{"from": "running", "to": status})
