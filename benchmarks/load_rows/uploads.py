"""L5: large uploads: the API's memory, the event loop's lag, and when a slow one is cut off."""

import json
import socket
import struct
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import httpx2
import psutil
from http_clients import HEADERS, LatencyProbe, quantile, run_concurrently
from service_processes import Database

BYTES = 5 * 10**9
CONCURRENT_UPLOADS = 5
SLOW_BYTES_PER_SECOND = 1000
SAMPLE_SECONDS = 0.05
SLOW_FROM_SCALE = 0.5
"""Below this scale the slow upload is left out: its deadline is over a minute."""
BLOCK = bytes(2**20)


def uploads(database: Database, scale: float) -> dict[str, Any]:
    """One upload of 5 GB; five of 1 GB at once; then one that sends 1 kB per second."""
    size = max(4 * 2**20, round(BYTES * scale))
    with database.api() as (url, api):
        measure = partial(_measure, url, api.pid)
        results = {
            "one": measure([lambda: _send(url, "one", size)]),
            "at_once": measure(
                [
                    partial(_send, url, f"of-{n}", size // CONCURRENT_UPLOADS)
                    for n in range(CONCURRENT_UPLOADS)
                ]
            ),
            "slow": _slow(url) if scale >= SLOW_FROM_SCALE else None,
        }
    return {"bytes": size, **results}


def _measure(url: str, pid: int, uploads: list[Callable[[], float]]) -> dict[str, Any]:
    """Run the uploads at once, sampling the API's memory and the latency of /healthz."""
    process = psutil.Process(pid)
    stop = threading.Event()
    rss_before = process.memory_info().rss
    peak_rss = rss_before

    def sample_memory() -> None:
        nonlocal peak_rss
        while not stop.wait(SAMPLE_SECONDS):
            peak_rss = max(peak_rss, process.memory_info().rss)

    sampler = threading.Thread(target=sample_memory)
    sampler.start()
    try:
        with LatencyProbe(url) as probe:
            seconds = run_concurrently(uploads)
    finally:
        stop.set()
        sampler.join()
    return {
        "seconds": max(seconds),
        "more_memory_bytes": peak_rss - rss_before,
        "bystander_ms": {
            "p50": quantile(probe.latencies_ms, 0.5),
            "p99": quantile(probe.latencies_ms, 0.99),
        },
    }


def _create_model(url: str, name: str) -> str:
    """Create a model; the path to upload its content to."""
    body = {"name": name, "network": {"architecture": "resnet18"}, "classes": 10}
    response = httpx2.post(f"{url}/v1/models", json=body, headers=HEADERS, timeout=30)
    return f"/v1/models/{response.raise_for_status().json()['id']}/content"


def _request_head(url: str, path: str, size: int) -> bytes:
    lines = [
        f"PUT {path} HTTP/1.1",
        f"Host: {urlsplit(url).netloc}",
        f"Authorization: {HEADERS['Authorization']}",
        "Content-Type: application/octet-stream",
        f"Content-Length: {size}",
        "Connection: close",
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def _file_head(size: int) -> bytes:
    """The header of a safetensors file of ``size`` bytes with one tensor of zeros."""
    tensor = {"dtype": "U8", "shape": [size - 512], "data_offsets": [0, size - 512]}
    header = json.dumps({"zeros": tensor}).ljust(512 - 8)
    return struct.pack("<Q", len(header)) + header.encode()


def _send(url: str, name: str, size: int) -> float:
    """Seconds that the upload takes. Raises SystemExit unless it is accepted."""
    path = _create_model(url, name)
    parts = urlsplit(url)
    start = time.perf_counter()
    with socket.create_connection(
        (str(parts.hostname), int(parts.port or 80)), timeout=300
    ) as connection:
        connection.sendall(_request_head(url, path, size) + _file_head(size))
        remaining = size - 512
        while remaining:
            block = BLOCK[: min(remaining, len(BLOCK))]
            connection.sendall(block)
            remaining -= len(block)
        response = connection.recv(2**16)
    if not response.startswith(b"HTTP/1.1 202"):
        raise SystemExit(f"{path}: {response[:300]!r}")
    return time.perf_counter() - start


def _slow(url: str) -> dict[str, Any]:
    """Send 1 kB per second until the service cuts it off; its status and the seconds until then."""
    path = _create_model(url, "slow")
    parts = urlsplit(url)
    size = 10**9
    start = time.perf_counter()
    with socket.create_connection(
        (str(parts.hostname), int(parts.port or 80)), timeout=1
    ) as connection:
        connection.sendall(_request_head(url, path, size) + _file_head(size))
        while True:
            try:
                connection.sendall(BLOCK[:SLOW_BYTES_PER_SECOND])
                if response := connection.recv(2**16):
                    return {
                        "status": int(response.split()[1]),
                        "seconds": time.perf_counter() - start,
                    }
            except TimeoutError:
                continue
            except OSError as error:
                return {"status": None, "error": str(error), "seconds": time.perf_counter() - start}
