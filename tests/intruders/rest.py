"""A real API process for all tests of a run, and requests that no client library would send."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from sqlalchemy import Engine, select

from core.settings import Settings
from core.store import keys
from core.store.database.engine import make_engine, read_session, write_session
from core.store.database.tables import DEFAULT_PROJECT, AuditRow, ProjectRow
from core.store.objects.store import Objects
from tests.api.conftest import KEY, STRANGER, STRANGERS_KEY, Service
from tests.servers import wait_until

CANARY = "canary-4d1f0c9a77"
FIELDS = {"type", "title", "status", "detail", "instance", "code", "param", "request_id", "errors"}


@dataclass
class House:
    """A service on SQLite and a folder. ``canary`` is a file beside the folder."""

    folder: Path
    settings: Settings
    engine: Engine
    service: Service
    canary: Path

    @property
    def client(self) -> httpx2.Client:
        return self.service.client

    @property
    def objects(self) -> Objects:
        return Objects.from_settings(self.settings)

    @property
    def log(self) -> str:
        assert self.service.log is not None
        return self.service.log.read_text(errors="replace")

    def lines(self, **wanted: Any) -> list[AuditRow]:
        """Of the audit log, the oldest first."""
        with read_session(self.engine) as session:
            rows = session.scalars(select(AuditRow).order_by(AuditRow.at, AuditRow.id)).all()
        return [
            row
            for row in rows
            if all(getattr(row, name) == value for name, value in wanted.items())
        ]

    def until_noted(self, **wanted: Any) -> None:
        """A refusal's line is written after its answer."""
        wait_until(
            lambda: bool(self.lines(**wanted)), what=f"a line of the audit log with {wanted}"
        )


@contextmanager
def a_house(template: Path, folder: Path, **settings: Any) -> Iterator[House]:
    home = folder / "home"
    home.mkdir(parents=True)
    database = home / "distill.db"
    database.write_bytes(template.read_bytes())
    canary = folder / "canary.txt"
    canary.write_text(CANARY)
    base = {"home": str(home), "database_url": f"sqlite:///{database}", **settings}
    engine = make_engine(base["database_url"])
    keys.ensure(engine, DEFAULT_PROJECT, "everything", keys.SCOPES, KEY)
    with write_session(engine) as session:
        session.add(ProjectRow(id=STRANGER, name="stranger"))
    keys.ensure(engine, STRANGER, "stranger", ("read", "submit", "admin"), STRANGERS_KEY)
    service = Service({name: str(value) for name, value in base.items()}, log=folder / "api.log")
    try:
        yield House(folder, Settings(**base), engine, service, canary)
    finally:
        service.close()
        engine.dispose()


@dataclass
class Raw:
    """An answer as it came."""

    status: int
    headers: dict[str, str]
    body: bytes = b""

    @property
    def code(self) -> str:
        return str(json.loads(self.body)["code"])


@dataclass
class Wire:
    """A connection that sends what it is told, byte by byte; opened again when the service has closed it."""

    port: int
    key: str | None = KEY
    _socket: socket.socket | None = field(default=None, repr=False)

    def ask(
        self,
        method: str,
        target: str | bytes,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
    ) -> Raw:
        target = target.encode("latin-1") if isinstance(target, str) else target
        lines = {
            "Host": f"127.0.0.1:{self.port}",
            **({"Authorization": f"Bearer {self.key}"} if self.key else {}),
        }
        lines |= headers or {}
        if body:
            lines["Content-Length"] = str(len(body))
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items()).encode("latin-1")
        return self.send(
            method.encode() + b" " + target + b" HTTP/1.1\r\n" + head + b"\r\n" + body,
            head_only=method == "HEAD",
        )

    def send(self, data: bytes, *, head_only: bool = False) -> Raw:
        for last in (False, True):
            try:
                with suppress(
                    BrokenPipeError, ConnectionResetError
                ):  # it may have been refused before all was sent
                    self._open().sendall(data)
                return self._read(head_only)
            except ConnectionError:
                self.close()
                if last:
                    raise
        raise AssertionError

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _open(self) -> socket.socket:
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        return self._socket

    def _read(self, head_only: bool) -> Raw:
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._more()
        head, _, rest = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines)
        }
        body = b"" if head_only else self._body(headers, rest)
        if headers.get("connection") == "close":
            self.close()
        return Raw(int(first.split()[1]), headers, body)

    def _body(self, headers: dict[str, str], data: bytes) -> bytes:
        if headers.get("transfer-encoding") == "chunked":
            while not data.endswith(b"0\r\n\r\n"):
                data += self._more()
            return data
        while len(data) < int(headers.get("content-length", 0)):
            data += self._more()
        return data

    def _more(self) -> bytes:
        assert self._socket is not None
        data = self._socket.recv(65536)
        if not data:
            raise ConnectionResetError("the service closed the connection")
        return data


def is_a_refusal(answer: Raw | httpx2.Response, *codes: str) -> None:
    """A problem document of these codes, without a trace or a path of this machine."""
    status, text = (
        (answer.status, answer.body.decode())
        if isinstance(answer, Raw)
        else (answer.status_code, answer.text)
    )
    assert 400 <= status < 500, (status, text[:500])
    assert answer.headers["content-type"] == "application/problem+json"
    problem = json.loads(text)
    assert set(problem) == FIELDS, problem
    assert problem["status"] == status
    assert not codes or problem["code"] in codes, problem
    is_silent(text)


def is_silent(text: str) -> None:
    for telling in (
        "Traceback",
        'File "',
        "site-packages",
        "/tmp/",
        "/home/",
        str(Path.cwd()),
        CANARY,
        "sqlite",
        "psycopg",
    ):
        assert telling not in text, (telling, text[:500])


@contextmanager
def a_bystander(house: House, record: Any) -> Iterator[None]:
    """Somebody else who lists jobs all the while. How long the answers took is recorded, not judged."""
    import threading

    seconds: list[float] = []
    stop = threading.Event()

    def ask() -> None:
        with httpx2.Client(
            base_url=house.service.url, headers=dict(house.client.headers), timeout=60
        ) as client:
            while not stop.wait(0.02):
                began = time.perf_counter()
                answer = client.get("/v1/jobs?limit=5")
                assert answer.status_code == 200
                seconds.append(time.perf_counter() - began)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    assert seconds
    ordered = sorted(seconds)
    record("bystander_requests", len(ordered))
    record("bystander_p50_ms", round(1000 * ordered[len(ordered) // 2]))
    record(
        "bystander_p99_ms", round(1000 * ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))])
    )
