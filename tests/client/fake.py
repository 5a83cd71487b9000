"""A small real HTTP server that answers by script and remembers what it was asked."""

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

from distill_client.client import Distill


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
class Answer:
    """``cut``: the connection is reset behind ``body``, as by a proxy that dies."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False


Script = Callable[[Request], Answer]


def as_json(value: Any, status: int = 200, **headers: str) -> Answer:
    return Answer(
        status, json.dumps(value).encode(), {"Content-Type": "application/json"} | headers
    )


def problem(
    status: int, code: str, detail: str, errors: Iterable[Any] = (), **headers: str
) -> Answer:
    answer = as_json(
        {
            "status": status,
            "code": code,
            "detail": detail,
            "request_id": "req_1",
            "errors": list(errors),
        },
        status,
    )
    answer.headers |= {"Content-Type": "application/problem+json"} | headers
    return answer


class Fake:
    """``on("GET /v1/jobs/job_1", a, b)`` answers a, then b, then b for ever; an answer may be made from the request."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.scripts: dict[str, list[Answer | Script]] = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                outer.handle(self)

            do_GET = do_POST = do_PUT = do_DELETE = handle_any

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def on(self, route: str, *answers: Answer | Script) -> None:
        self.scripts[route] = list(answers)

    def asked(self, route: str) -> list[Request]:
        return [request for request in self.requests if f"{request.method} {request.path}" == route]

    def handle(self, handler: BaseHTTPRequestHandler) -> None:
        url = urlsplit(handler.path)
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        request = Request(handler.command, url.path, parse_qs(url.query), headers, body)
        self.requests.append(request)
        script = self.scripts.get(
            f"{request.method} {request.path}",
            [problem(404, "not_found", f"Nothing at {url.path}.")],
        )
        said = script.pop(0) if len(script) > 1 else script[0]
        self.answer(handler, said if isinstance(said, Answer) else said(request))

    @staticmethod
    def answer(handler: BaseHTTPRequestHandler, answer: Answer) -> None:
        if answer.status:
            handler.send_response(answer.status)
            for name, value in {
                "Content-Length": str(len(answer.body)),
                "Connection": "close",
                **answer.headers,
            }.items():
                if value:
                    handler.send_header(name, value)
            handler.end_headers()
            handler.wfile.write(answer.body)
            handler.wfile.flush()
        handler.close_connection = True
        if answer.cut:
            time.sleep(0.05)  # what was written arrives; then the connection is reset
            handler.connection.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
            os.close(handler.connection.detach())


NO_ANSWER = Answer(status=0, cut=True)


@contextmanager
def running() -> Iterator[Fake]:
    fake = Fake()
    thread = threading.Thread(target=fake.server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield fake
    finally:
        fake.server.shutdown()
        fake.server.server_close()
        thread.join()


def client_of(fake: Fake, **changes: Any) -> Distill:
    return Distill(fake.url, "dk_secret", **{"backoff_seconds": 0.01, "timeout": 5.0, **changes})


def job(status: str = "running", **changes: Any) -> dict[str, Any]:
    return {
        "id": "job_1",
        "kind": "distillation",
        "status": status,
        "terminal": status in {"succeeded", "failed", "cancelled"},
        "created_at": "2026-01-31T12:34:56.789Z",
        **changes,
    }


def event(seq: int, type: str = "note", **data: Any) -> dict[str, Any]:
    return {"seq": seq, "type": type, "at": "2026-01-31T12:34:56.789Z", "attempt": 1, "data": data}


def ended(seq: int, status: str = "succeeded") -> dict[str, Any]:
    return event(seq, "status", **{"from": "running", "to": status})


def stream(*messages: dict[str, Any], cut: bool = False) -> Answer:
    """Events with their number as id; a job without one."""
    text = "retry: 1000\n\n: still here\n\n"
    for message in messages:
        head = (
            f"id: {message['seq']}\nevent: {message['type']}\n"
            if "seq" in message
            else "event: job\n"
        )
        text += f"{head}data: {json.dumps(message)}\n\n"
    return Answer(
        200, text.encode(), {"Content-Type": "text/event-stream", "Content-Length": ""}, cut=cut
    )
