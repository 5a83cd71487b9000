"""Callers that cost little beside what they measure, and what their waits come to."""

import http.client
import math
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

from served import KEY

HEADERS = {"Authorization": f"Bearer {KEY}", "Accept": "application/json"}


class Client:
    """One connection, kept open. Its answers are read whole, and not parsed."""

    def __init__(self, url: str, timeout: float = 60) -> None:
        parts = urlsplit(url)
        self.connection = http.client.HTTPConnection(
            str(parts.hostname), parts.port, timeout=timeout
        )

    def get(self, path: str) -> bytes:
        """Raises SystemExit for anything but a 200."""
        self.connection.request("GET", path, headers=HEADERS)
        answer = self.connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise SystemExit(f"GET {path}: {answer.status} {body[:300]!r}")
        return body

    def timed(self, path: str) -> float:
        """Milliseconds."""
        began = time.perf_counter()
        self.get(path)
        return 1000 * (time.perf_counter() - began)


def waits(url: str, paths: Sequence[str], clients: int, requests: int) -> list[float]:
    """Milliseconds of each request: ``requests`` by each client, all at once, each with paths of its own."""

    def ask(number: int) -> list[float]:
        client = Client(url)
        client.get(paths[0])
        return [client.timed(paths[(number * requests + n) % len(paths)]) for n in range(requests)]

    with ThreadPoolExecutor(clients) as pool:
        return [wait for found in pool.map(ask, range(clients)) for wait in found]


def for_a_while(url: str, path: str, clients: int, seconds: float) -> tuple[list[float], float]:
    """Milliseconds of each request, and requests per second, of clients that ask without a pause."""
    over = time.perf_counter() + seconds

    def ask(_: int) -> list[float]:
        client, found = Client(url), []
        while time.perf_counter() < over:
            found.append(client.timed(path))
        return found

    began = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        found = [wait for each in pool.map(ask, range(clients)) for wait in each]
    return found, len(found) / (time.perf_counter() - began)


def quantile(values: Iterable[float], share: float) -> float:
    """The least value that ``share`` of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def spread(values: Sequence[float]) -> dict[str, float]:
    return {f"p{round(100 * share)}_ms": quantile(values, share) for share in (0.5, 0.95, 0.99)} | {
        "requests": len(values)
    }


class Bystander:
    """Asks for /healthz all the while, which no thread and no database answers: it waits as long as the event loop is busy."""

    def __init__(self, url: str, pause_seconds: float = 0.02) -> None:
        self.url, self.pause_seconds = url, pause_seconds
        self.waits: list[float] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def _ask(self) -> None:
        client = Client(self.url)
        while not self._over.wait(self.pause_seconds):
            self.waits.append(client.timed("/healthz"))

    def __enter__(self) -> "Bystander":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def at_once(actions: Iterable[Callable[[], Any]]) -> list[Any]:
    """What each gives, all begun together."""
    wanted = list(actions)
    with ThreadPoolExecutor(len(wanted)) as pool:
        return list(pool.map(lambda act: act(), wanted))
