"""HTTP clients that cost little beside what they measure, and quantiles of their latencies."""

import http.client
import math
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

from service_processes import KEY

HEADERS = {"Authorization": f"Bearer {KEY}", "Accept": "application/json"}


class Client:
    """One keep-alive connection. Responses are read to the end and not parsed."""

    def __init__(self, url: str, timeout: float = 60) -> None:
        parts = urlsplit(url)
        self.connection = http.client.HTTPConnection(
            str(parts.hostname), parts.port, timeout=timeout
        )

    def get(self, path: str) -> bytes:
        """Return the body. Raises SystemExit for any status but 200."""
        self.connection.request("GET", path, headers=HEADERS)
        response = self.connection.getresponse()
        body = response.read()
        if response.status != 200:
            raise SystemExit(f"GET {path}: {response.status} {body[:300]!r}")
        return body

    def latency(self, path: str) -> float:
        """Milliseconds of one GET."""
        start = time.perf_counter()
        self.get(path)
        return 1000 * (time.perf_counter() - start)


def latencies(url: str, paths: Sequence[str], clients: int, requests: int) -> list[float]:
    """Milliseconds of each request: ``requests`` per client, all clients at once.

    Each client begins at another of the ``paths``.
    """

    def send(number: int) -> list[float]:
        client = Client(url)
        client.get(paths[0])
        return [
            client.latency(paths[(number * requests + n) % len(paths)]) for n in range(requests)
        ]

    with ThreadPoolExecutor(clients) as pool:
        return [latency for each in pool.map(send, range(clients)) for latency in each]


def throughput(url: str, path: str, clients: int, seconds: float) -> tuple[list[float], float]:
    """Milliseconds of each request, and requests per second, of clients that never pause."""
    deadline = time.perf_counter() + seconds

    def send(_: int) -> list[float]:
        client = Client(url)
        latencies_ms = []
        while time.perf_counter() < deadline:
            latencies_ms.append(client.latency(path))
        return latencies_ms

    start = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        latencies_ms = [latency for each in pool.map(send, range(clients)) for latency in each]
    return latencies_ms, len(latencies_ms) / (time.perf_counter() - start)


def quantile(values: Iterable[float], share: float) -> float:
    """The smallest value that at least ``share`` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def quantiles(values: Sequence[float]) -> dict[str, float]:
    """Median, 95th and 99th percentile in milliseconds, and the number of requests."""
    return {f"p{round(100 * share)}_ms": quantile(values, share) for share in (0.5, 0.95, 0.99)} | {
        "requests": len(values)
    }


class LatencyProbe:
    """Requests /healthz all the time.

    No worker thread and no database takes part in the response, so its latency is that of the
    event loop.
    """

    def __init__(self, url: str, pause_seconds: float = 0.02) -> None:
        self.url, self.pause_seconds = url, pause_seconds
        self.latencies_ms: list[float] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        client = Client(self.url)
        while not self._stop.wait(self.pause_seconds):
            self.latencies_ms.append(client.latency("/healthz"))

    def __enter__(self) -> "LatencyProbe":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def run_concurrently(actions: Sequence[Callable[[], Any]]) -> list[Any]:
    """Results of the actions, each in a thread of its own."""
    with ThreadPoolExecutor(len(actions)) as pool:
        return list(pool.map(lambda act: act(), actions))
